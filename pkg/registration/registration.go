// Package registration registers the driver with kubelet, so that no registrar
// container is needed.
//
// kubelet watches a directory for sockets, and asks at each for the plugin's name
// and for the socket of its CSI services. It asks again when it starts, and
// whenever a socket appears.
package registration

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"k8s.io/klog/v2"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/hostdir/hostdir/pkg/socket"
)

// Registration is kubelet's pluginregistration/v1 service for one CSI driver.
type Registration struct {
	registerapi.UnsafeRegistrationServer

	// DriverName is the driver's name.
	DriverName string
	// Endpoint is the path of the CSI socket as kubelet sees it.
	Endpoint string

	registered atomic.Bool
}

// Serve announces the driver in kubelet's registration directory until the
// context ends.
func (r *Registration) Serve(ctx context.Context, dir string) error {
	// kubelet sends names and one error, one call at a time.
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64<<10), grpc.MaxConcurrentStreams(16))
	defer server.Stop()
	registerapi.RegisterRegistrationServer(server, r)
	late := time.AfterFunc(patience, func() {
		if !r.Registered() {
			klog.FromContext(ctx).Error(errors.New("kubelet has not asked for the driver, or refused it"), "not registered yet: kubelet looks for plugins in the folder plugins_registry of its root directory (--root-dir), "+
				"and that has to be the chart's value kubeletDir", "driver", r.DriverName, "endpoint", r.Endpoint)
		}
	})
	defer late.Stop()
	return socket.Serve(ctx, filepath.Join(dir, SocketName(r.DriverName)), server)
}

// patience is much longer than kubelet takes to find a plugin.
const patience = time.Minute

// SocketName is what a driver's socket is called in kubelet's registration
// directory.
func SocketName(driverName string) string { return driverName + "-reg.sock" }

// Registered reports whether kubelet, when last heard of, knew the driver.
func (r *Registration) Registered() bool { return r.registered.Load() }

// GetInfo answers kubelet who is there. The version is that of the protocol, which
// kubelet checks, and not that of CSI's specification.
func (r *Registration) GetInfo(context.Context, *registerapi.InfoRequest) (*registerapi.PluginInfo, error) {
	return &registerapi.PluginInfo{
		Type:              registerapi.CSIPlugin,
		Name:              r.DriverName,
		Endpoint:          r.Endpoint,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

// NotifyRegistrationStatus takes note of how it went. kubelet tries again by
// itself.
func (r *Registration) NotifyRegistrationStatus(ctx context.Context, status *registerapi.RegistrationStatus) (*registerapi.RegistrationStatusResponse, error) {
	r.registered.Store(status.PluginRegistered)
	log := klog.FromContext(ctx)
	if status.PluginRegistered {
		log.Info("registered with kubelet", "driver", r.DriverName, "endpoint", r.Endpoint)
	} else {
		log.Error(errors.New(status.Error), "kubelet refused the driver and tries again", "driver", r.DriverName, "endpoint", r.Endpoint)
	}
	return &registerapi.RegistrationStatusResponse{}, nil
}
