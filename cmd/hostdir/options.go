package main

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/driver"
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
	verbosity       int
	loggingFormat   string
	showVersion     bool
}

func defaultOptions() options {
	return options{
		endpoint:        "unix:///csi/csi.sock",
		config:          "/etc/hostdir/config.yaml",
		driverName:      driver.DefaultName,
		kubeletDir:      "/var/lib/kubelet",
		registrationDir: "/registration",
		httpAddress:     ":9808",
		verbosity:       2,
		loggingFormat:   "text",
	}
}

func (o *options) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.endpoint, "endpoint", o.endpoint, "the Unix socket to serve CSI on, as unix://PATH")
	fs.StringVar(&o.nodeName, "node-name", o.nodeName, "the name of this node in Kubernetes (required)")
	fs.StringVar(&o.config, "config", o.config, "the configuration file, which names the pools; it is read again when it changes")
	fs.StringVar(&o.driverName, "driver-name", o.driverName, "the name of the CSI driver, also the prefix of the topology key")
	fs.StringVar(&o.kubeletDir, "kubelet-dir", o.kubeletDir, "kubelet's root directory on the node; volumes are published only below it")
	fs.StringVar(&o.registrationDir, "registration-dir", o.registrationDir, "where kubelet's plugins_registry directory is found")
	fs.StringVar(&o.httpAddress, "http-address", o.httpAddress, "the address to serve /healthz and /readyz on")
	fs.IntVarP(&o.verbosity, "v", "v", o.verbosity, "how much to log: 0 errors and changes, 4 every call")
	fs.StringVar(&o.loggingFormat, "logging-format", o.loggingFormat, "how to log: text or json")
	fs.BoolVar(&o.showVersion, "version", false, "print the version and exit")
}

func (o *options) validate(args []string) error {
	switch {
	case len(args) > 0:
		return fmt.Errorf("unexpected argument %q", args[0])
	case o.nodeName == "":
		return fmt.Errorf("--node-name is required; in a pod it comes from spec.nodeName")
	case !path.IsAbs(o.socketPath()):
		return fmt.Errorf("--endpoint=%s is not of the form unix:///path/to/csi.sock", o.endpoint)
	case o.driverName == "":
		return fmt.Errorf("--driver-name is empty")
	case o.loggingFormat != "text" && o.loggingFormat != "json":
		return fmt.Errorf("--logging-format=%s is neither text nor json", o.loggingFormat)
	}
	return nil
}

// socketPath is the endpoint's path in this process's view.
func (o *options) socketPath() string {
	socket, ok := strings.CutPrefix(o.endpoint, "unix://")
	if !ok {
		return ""
	}
	return filepath.Clean(socket)
}

// endpointForKubelet is the endpoint's path in kubelet's view: the directory of
// the socket is <kubelet-dir>/plugins/<driver-name> on the node.
func (o *options) endpointForKubelet() string {
	return filepath.Join(o.kubeletDir, "plugins", o.driverName, filepath.Base(o.socketPath()))
}

// setUpLogging lets klog, which the libraries use as well, write to standard
// error in the chosen format.
func setUpLogging(o options) {
	fs := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(fs)
	// Both flags exist and the value is a number: this cannot fail.
	_ = fs.Set("v", strconv.Itoa(o.verbosity))
	if o.loggingFormat == "json" {
		level := slog.Level(-o.verbosity) // logr's V(4) is slog's level -4
		klog.SetSlogLogger(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	}
}
