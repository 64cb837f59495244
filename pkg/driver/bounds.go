package driver

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
)

const (
	// maxRequest bounds a request, in bytes. CSI's own limits, 128 bytes for a
	// string and 4 KiB for a map, keep all requests far below it but one:
	// without --strict-topology, csi-provisioner names every node of the cluster
	// in CreateVolume. That is some 100 bytes each for ten thousand nodes.
	maxRequest = 1 << 20
	// maxStreams bounds the calls that a client has under way on a connection.
	// csi-provisioner makes 200 at once by default, kubelet fewer.
	maxStreams = 1000
)

// A call that works on a disk takes a thread of the operating system while the
// disk does not answer. So many may do so at once, and the others wait. Calls of
// kubelet and of the provisioner do not wait for each other, nor do changes for
// questions: with one disk dead, pods on the others still start and end.
const (
	maxChanges   = 64
	maxQuestions = 32
)

// bounds holds who works now.
type bounds struct {
	controllerChanges, nodeChanges, questions chan struct{}
}

func newBounds() *bounds {
	return &bounds{
		controllerChanges: make(chan struct{}, maxChanges),
		nodeChanges:       make(chan struct{}, maxChanges),
		questions:         make(chan struct{}, maxQuestions),
	}
}

// places returns where a method's calls take a place, nil for those that touch
// no disk and never wait.
func (b *bounds) places(method string) chan struct{} {
	switch method {
	case csi.Identity_GetPluginInfo_FullMethodName,
		csi.Identity_GetPluginCapabilities_FullMethodName,
		csi.Identity_Probe_FullMethodName,
		csi.Controller_ControllerGetCapabilities_FullMethodName,
		csi.Node_NodeGetCapabilities_FullMethodName,
		csi.Node_NodeGetInfo_FullMethodName:
		return nil
	case csi.Controller_CreateVolume_FullMethodName,
		csi.Controller_DeleteVolume_FullMethodName:
		return b.controllerChanges
	case csi.Node_NodePublishVolume_FullMethodName,
		csi.Node_NodeUnpublishVolume_FullMethodName,
		csi.Node_NodeExpandVolume_FullMethodName:
		return b.nodeChanges
	}
	return b.questions
}

// intercept lets a call wait for its place until its context ends.
func (b *bounds) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	places := b.places(info.FullMethod)
	if places == nil {
		return handler(ctx, req)
	}
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
		return handler(ctx, req)
	case <-ctx.Done():
		return nil, fmt.Errorf("%d other calls are at work and did not end in time; does a disk of this node not answer? %w", cap(places), ctx.Err())
	}
}
