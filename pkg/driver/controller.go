package driver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/store"
)

// tiedPod ends what people read on a claim for which there is no room here.
// Kubernetes binds the claims of a pod one by one, and never takes back what it has
// bound (https://github.com/kubernetes/kubernetes/issues/111755).
const tiedPod = "the scheduler tries another node, unless the pod has a claim that is bound here already: " +
	"then make room on this node, or delete that claim, if nothing is in it yet, and the pod, so that both are placed anew"

// CreateVolume makes a volume in the pool that the class names.
func (d *Driver) CreateVolume(ctx context.Context, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if err := checkCapabilities(req.GetVolumeCapabilities()); err != nil {
		return nil, err
	}
	source, err := contentSource(req.GetVolumeContentSource())
	if err != nil {
		return nil, err
	}
	if len(req.GetMutableParameters()) > 0 {
		return nil, invalid("hostdir has no mutable parameters: remove volumeAttributesClassName from the claim")
	}
	class, err := config.ParseClass(classParameters(req.GetParameters()))
	if err != nil {
		return nil, err
	}
	if err := d.checkAccessible(req.GetAccessibilityRequirements()); err != nil {
		return nil, err
	}
	filesystem, err := filesystemType(req.GetParameters(), req.GetVolumeCapabilities()...)
	if err != nil {
		return nil, err
	}
	v, err := d.Store.Create(ctx, store.CreateRequest{
		Name:          req.GetName(),
		RequiredBytes: req.GetCapacityRange().GetRequiredBytes(),
		LimitBytes:    req.GetCapacityRange().GetLimitBytes(),
		Class:         class,
		Filesystem:    filesystem,
		MountOptions:  mountOptions(req.GetVolumeCapabilities()),
		AccessModes:   claimModes(req.GetVolumeCapabilities()),
		Claim: store.Claim{
			Namespace: req.GetParameters()[metadataPrefix+"pvc/namespace"],
			Name:      req.GetParameters()[metadataPrefix+"pvc/name"],
		},
		PersistentVolume: req.GetParameters()[metadataPrefix+"pv/name"],
		Source:           source,
	})
	if errors.Is(err, errdefs.ErrNoSpace) {
		return nil, fmt.Errorf("%w; %s", err, tiedPod)
	}
	if err != nil {
		return nil, err
	}
	klog.FromContext(ctx).Info("volume created", "volumeID", v.ID, "claim", v.Claim.String(), "path", v.Path)
	made := d.toCSI(v)
	made.ContentSource = req.GetVolumeContentSource()
	return &csi.CreateVolumeResponse{Volume: made}, nil
}

// DeleteVolume takes a volume out of use. One that is gone, or whose ID was
// never hostdir's, is deleted already. One that is published is refused here;
// see deletes for when its caller hears of it.
func (d *Driver) DeleteVolume(ctx context.Context, req *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if req.GetVolumeId() == "" {
		return nil, invalid("the request has no volume ID")
	}
	// Look first without the volume's lock: a delete that takes it only to be
	// refused may be just what makes the unpublish fail.
	if err := d.Store.ReadData(ctx, req.GetVolumeId(), d.Mounter.CheckUnused); errors.Is(err, errdefs.ErrInUse) {
		return nil, err
	}
	err := d.Store.Delete(ctx, req.GetVolumeId(), d.Mounter.CheckUnused)
	switch {
	case errors.Is(err, errdefs.ErrNotFound):
		klog.FromContext(ctx).Info("nothing to delete", "reason", err.Error())
	case err != nil:
		return nil, err
	default:
		klog.FromContext(ctx).Info("volume deleted")
	}
	return &csi.DeleteVolumeResponse{}, nil
}

// ValidateVolumeCapabilities confirms what CreateVolume and NodePublishVolume
// would accept.
func (d *Driver) ValidateVolumeCapabilities(ctx context.Context, req *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if req.GetVolumeId() == "" {
		return nil, invalid("the request has no volume ID")
	}
	if len(req.GetVolumeCapabilities()) == 0 {
		return nil, invalid("the request has no volume capability")
	}
	v, err := d.Store.Volume(ctx, req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	if err := checkCapabilities(req.GetVolumeCapabilities()); err != nil {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: err.Error()}, nil
	}
	if err := d.checkFilesystem(req.GetVolumeId(), req.GetParameters(), req.GetVolumeCapabilities()...); errors.Is(err, errdefs.ErrInvalid) {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: err.Error()}, nil
	} else if err != nil {
		return nil, err
	}
	if err := madeAs(v, req.GetParameters(), req.GetVolumeContext()); err != nil {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: err.Error()}, nil
	}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeContext:      req.GetVolumeContext(),
		VolumeCapabilities: req.GetVolumeCapabilities(),
		Parameters:         req.GetParameters(),
	}}, nil
}

// madeAs returns an error unless a volume was made with these parameters and has
// this context, which Kubernetes calls its attributes.
func madeAs(v store.Volume, parameters, volumeContext map[string]string) error {
	if has := v.Class.Attributes(); len(volumeContext) > 0 && !maps.Equal(has, volumeContext) {
		return invalid("the volume has the volume context %v, the request has %v", has, volumeContext)
	}
	if len(parameters) == 0 {
		return nil
	}
	class, err := config.ParseClass(classParameters(parameters))
	if err != nil {
		return err
	}
	if class != v.Class {
		return invalid("the volume was made with the parameters %s, the request has %s", v.Class, class)
	}
	return nil
}

// GetCapacity returns the room that the class's pool has on this node, none if
// the pool is not here. It ignores whatever else is wrong with the class or the
// claim: without capacity the scheduler would never choose a node, and nobody
// would hear of the mistake from CreateVolume.
func (d *Driver) GetCapacity(_ context.Context, req *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	var c store.Capacity
	if t := req.GetAccessibleTopology(); t == nil || d.checkAccessible(&csi.TopologyRequirement{Requisite: []*csi.Topology{t}}) == nil {
		class, err := config.ParseClass(classParameters(req.GetParameters()))
		if err != nil {
			class = config.Class{Pool: cmp.Or(req.GetParameters()["pool"], config.DefaultPool)}
		}
		c = d.Store.Capacity(class)
	}
	return &csi.GetCapacityResponse{
		AvailableCapacity: c.AvailableBytes,
		MaximumVolumeSize: wrapperspb.Int64(c.MaximumVolumeBytes),
	}, nil
}

// maxPage bounds an answer of ListVolumes and ListSnapshots: gRPC's clients refuse more than 4 MiB
// unless told otherwise, and an entry takes at most some 300 bytes.
const maxPage = 10_000

// page cuts a page out of what is in the order of its IDs. A token is the last ID of the
// page before, so pages stay right when volumes come and go.
func page[T any](all []T, id func(T) string, token string, most int32) (some []T, next string, err error) {
	if most < 0 {
		return nil, "", invalid("max_entries %d is negative", most)
	}
	if token != "" {
		i, found := slices.BinarySearchFunc(all, token, func(each T, token string) int { return strings.Compare(id(each), token) })
		_, noVolume := store.ParseVolumeID(token)
		_, noSnapshot := store.ParseSnapshotID(token)
		if noVolume != nil && noSnapshot != nil {
			return nil, "", status.Errorf(codes.Aborted, "%q is not a token of this list: start again without one", token)
		}
		if found {
			i++
		}
		all = all[i:]
	}
	if n := min(maxPage, cmp.Or(int(most), maxPage)); n < len(all) {
		all = all[:n]
		next = id(all[n-1])
	}
	return all, next, nil
}

// ListVolumes lists this node's volumes in the order of their IDs.
func (d *Driver) ListVolumes(_ context.Context, req *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	all, next, err := page(d.Store.Volumes(), func(v store.Volume) string { return v.ID }, req.GetStartingToken(), req.GetMaxEntries())
	if err != nil {
		return nil, err
	}
	resp := &csi.ListVolumesResponse{NextToken: next}
	for _, v := range all {
		resp.Entries = append(resp.Entries, &csi.ListVolumesResponse_Entry{Volume: d.toCSI(v)})
	}
	return resp, nil
}

func (d *Driver) toCSI(v store.Volume) *csi.Volume {
	return &csi.Volume{
		VolumeId:           v.ID,
		CapacityBytes:      v.CapacityBytes,
		VolumeContext:      v.Class.Attributes(),
		AccessibleTopology: []*csi.Topology{d.topology()},
	}
}
