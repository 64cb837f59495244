package main

import (
	"strings"
	"testing"
)

// parse reads a command line as main does.
func parse(t *testing.T, args ...string) (*options, error) {
	t.Helper()
	opts := defaultOptions()
	return opts, newProgram(opts).Parse(args)
}

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		says string // "" if the command line is good
	}{
		{"the node's name alone", []string{"--node-name=node-1"}, ""},
		{"everything", []string{
			"--endpoint=unix:///run/csi.sock", "--node-name=node-1", "--config=/c.yaml", "--driver-name=d.example",
			"--kubelet-dir=/k", "--registration-dir=/r", "--http-address=127.0.0.1:1", "-v=4", "--logging-format=json",
		}, ""},
		{"nothing", nil, "--node-name is required"},
		{"an unknown flag", []string{"--node=node-1"}, "unknown flag: --node"},
		{"an argument", []string{"--node-name=node-1", "pools"}, `unexpected argument "pools"`},
		{"an endpoint without a scheme", []string{"--node-name=node-1", "/csi/csi.sock"}, "/csi/csi.sock"},
		{"a relative endpoint", []string{"--node-name=node-1", "--endpoint=unix://csi.sock"}, "unix:///path/to/csi.sock"},
		{"a TCP endpoint", []string{"--node-name=node-1", "--endpoint=tcp://127.0.0.1:1"}, "unix:///path/to/csi.sock"},
		{"no endpoint", []string{"--node-name=node-1", "--endpoint="}, "unix:///path/to/csi.sock"},
		{"no driver's name", []string{"--node-name=node-1", "--driver-name="}, "--driver-name"},
		{"a driver's name that is a path", []string{"--node-name=node-1", "--driver-name=../x"}, "--driver-name"},
		{"a strange format", []string{"--node-name=node-1", "--logging-format=xml"}, "neither text nor json"},
		{"a verbosity in words", []string{"--node-name=node-1", "--v=much"}, "much"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(t, test.args...)
			switch {
			case test.says == "" && err != nil:
				t.Error(err)
			case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	for _, test := range []struct {
		name            string
		args            []string
		socket, kubelet string
	}{
		{"by default", nil, "/csi/csi.sock", "/var/lib/kubelet/plugins/csi.hostdir.io/csi.sock"},
		{
			"elsewhere", []string{"--endpoint=unix:///run//plugin.sock", "--kubelet-dir=/data/kubelet", "--driver-name=d.example"},
			"/run/plugin.sock", "/data/kubelet/plugins/d.example/plugin.sock",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			opts, err := parse(t, append(test.args, "--node-name=node-1")...)
			if err != nil {
				t.Fatal(err)
			}
			if got := opts.socketPath; got != test.socket {
				t.Errorf("the socket is %s, want %s", got, test.socket)
			}
			if got := opts.endpointForKubelet(); got != test.kubelet {
				t.Errorf("kubelet is told %s, want %s", got, test.kubelet)
			}
		})
	}
}
