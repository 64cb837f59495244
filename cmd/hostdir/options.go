package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/spf13/pflag"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/driver"
	"github.com/hostdir/hostdir/pkg/registration"
	"github.com/hostdir/hostdir/pkg/socket"
)

// options are the command line's flags.
type options struct {
	endpoint        string
	nodeName        string
	config          string
	driverName      string
	kubeletDir      string
	registrationDir string
	httpAddress     string

	// socketPath is the endpoint's path in this process's view, once the
	// options are validated.
	socketPath string
}

func defaultOptions() *options {
	return &options{
		endpoint:        "unix:///csi/csi.sock",
		config:          "/etc/hostdir/config.yaml",
		driverName:      driver.DefaultName,
		kubeletDir:      "/var/lib/kubelet",
		registrationDir: "/registration",
		httpAddress:     ":9808",
	}
}

func (o *options) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.endpoint, "endpoint", o.endpoint, "the Unix socket to serve CSI on, as unix://PATH")
	fs.StringVar(&o.nodeName, "node-name", o.nodeName, "the name of this node in Kubernetes (required)")
	fs.StringVar(&o.config, "config", o.config, "the configuration file, which names the pools; it is read again when it changes")
	fs.StringVar(&o.driverName, "driver-name", o.driverName, "the name of the CSI driver, also the prefix of the topology key")
	fs.StringVar(&o.kubeletDir, "kubelet-dir", o.kubeletDir, "kubelet's root directory on the node; volumes are published only below it")
	fs.StringVar(&o.registrationDir, "registration-dir", o.registrationDir, "where kubelet's plugins_registry directory is found")
	fs.StringVar(&o.httpAddress, "http-address", o.httpAddress, "the address to serve /healthz, /readyz and /metrics on")
}

// driverNamePattern is what the CSI spec allows, GetPluginInfoResponse.name. The
// name becomes part of paths.
var driverNamePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

func (o *options) validate() (err error) {
	switch {
	case o.nodeName == "":
		return errors.New("--node-name is required; in a pod it comes from spec.nodeName")
	case len(o.driverName) > 63 || !driverNamePattern.MatchString(o.driverName):
		return fmt.Errorf("--driver-name=%q is not a domain name of at most 63 characters", o.driverName)
	}
	if o.socketPath, err = socket.Path(o.endpoint); err != nil {
		return err
	}
	return o.checkSockets()
}

// checkSockets returns an error if a socket could not be made, or not be reached by
// kubelet.
func (o *options) checkSockets() error {
	registrationSocket := registration.SocketName(o.driverName)
	for _, s := range []struct{ flag, path string }{
		{"--endpoint=" + o.endpoint, o.socketPath},
		{"--endpoint=" + o.endpoint, admin.SocketPath(o.socketPath)},
		{"--registration-dir=" + o.registrationDir, filepath.Join(o.registrationDir, registrationSocket)},
	} {
		if err := socket.CheckPath(s.path); err != nil {
			return fmt.Errorf("%s: %w", s.flag, err)
		}
	}
	for _, p := range []string{o.endpointForKubelet(), filepath.Join(o.kubeletDir, "plugins_registry", registrationSocket)} {
		if over := len(p) - socket.MaxPath; over > 0 {
			return fmt.Errorf("--kubelet-dir=%s, in the chart's values kubeletDir, is too long by %d bytes: kubelet reaches hostdir at %s, and the kernel takes no socket's path of more than %d bytes; "+
				"give kubelet a shorter root directory, which may be a symbolic link to this one", o.kubeletDir, over, p, socket.MaxPath)
		}
	}
	return nil
}

// endpointForKubelet is the endpoint's path in kubelet's view: the directory of
// the socket is <kubelet-dir>/plugins/<driver-name> on the node.
func (o *options) endpointForKubelet() string {
	return filepath.Join(o.kubeletDir, "plugins", o.driverName, filepath.Base(o.socketPath))
}

// historyFile is where the store keeps which disks this node had: the directory of
// the socket is on the node, and outlives pods.
func (o *options) historyFile() string {
	return filepath.Join(filepath.Dir(o.socketPath), "disks.json")
}

// lockFile is what the processes of this driver on this node take turns by.
func (o *options) lockFile() string {
	return filepath.Join(filepath.Dir(o.socketPath), "hostdir.lock")
}
