// Package apiserver gives a test a real kube-apiserver with etcd behind it and, if
// it wants one, the kube-controller-manager that binds claims. There are no nodes but
// the objects that the test makes.
package apiserver

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/hostdir/hostdir/tests/cluster/programs"
)

// Server is a running API server.
type Server struct {
	// Config is that of an administrator.
	Config *rest.Config
	// Etcd is the address of etcd, which asks for no credentials.
	Etcd       string
	kubeconfig string
	cache      programs.Cache
}

// Start starts the servers until the test ends, with flags of kube-apiserver, such as
// "admission-control-config-file=...". The programs are built the first time, which
// takes minutes.
func Start(t testing.TB, flags ...string) *Server {
	t.Helper()
	cache, err := programs.OpenCache()
	if err != nil {
		t.Fatal(err)
	}
	if err := cache.Build(t.Logf); err != nil {
		t.Fatal(err)
	}
	env := &envtest.Environment{}
	env.ControlPlane.Etcd = &envtest.Etcd{Path: cache.Path("etcd")}
	env.ControlPlane.Etcd.Configure().Set("quota-backend-bytes", "8589934592") // the most that etcd advises
	env.ControlPlane.GetAPIServer().Path = cache.Path("kube-apiserver")
	for _, flag := range flags {
		name, value, _ := strings.Cut(flag, "=")
		env.ControlPlane.GetAPIServer().Configure().Append(name, value)
	}
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := &Server{Config: config, Etcd: env.ControlPlane.Etcd.URL.String(), cache: cache, kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	if err := os.WriteFile(s.kubeconfig, env.KubeConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// Kubeconfig is a file with what is in Config.
func (s *Server) Kubeconfig() string { return s.kubeconfig }

// Through is the server for programs that reach it by another kubeconfig.
func (s *Server) Through(kubeconfig string) *Server {
	through := *s
	through.kubeconfig = kubeconfig
	return &through
}

// StartControllerManager runs kube-controller-manager until the test ends, or stop
// is called, which kills it. Without names of controllers it runs all.
func (s *Server) StartControllerManager(t testing.TB, controllers ...string) (stop func()) {
	t.Helper()
	var args []string
	if len(controllers) > 0 {
		args = append(args, "--controllers="+strings.Join(controllers, ","))
	}
	return s.start(t, "kube-controller-manager", args...)
}

// StartScheduler runs kube-scheduler until the test ends, or stop is called, which
// kills it.
func (s *Server) StartScheduler(t testing.TB) (stop func()) {
	t.Helper()
	return s.start(t, "kube-scheduler")
}

// StartProvisioner runs csi-provisioner as it runs on a node, beside the driver that
// serves a socket, until the test ends or stop is called, which kills it.
func (s *Server) StartProvisioner(t testing.TB, node, socket string, args ...string) (stop func()) {
	t.Helper()
	args = append([]string{"--kubeconfig=" + s.kubeconfig, "--csi-address=" + socket, "--node-deployment", "--strict-topology", "-v=5"}, args...)
	_, stop = s.Run(t, "csi-provisioner", []string{"NODE_NAME=" + node}, args...)
	return stop
}

func (s *Server) start(t testing.TB, program string, args ...string) (stop func()) {
	t.Helper()
	_, stop = s.Run(t, program, nil, append([]string{"--kubeconfig=" + s.kubeconfig, "--leader-elect=false", "--secure-port=0"}, args...)...)
	return stop
}

// Run runs one of the programs of a cluster, or that of a path, with these arguments,
// until the test ends or stop is called, which kills it.
func (s *Server) Run(t testing.TB, program string, environment []string, args ...string) (pid int, stop func()) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	path := program
	if !filepath.IsAbs(program) {
		path = s.cache.Path(program)
	}
	command := exec.CommandContext(ctx, path, args...)
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { command.Wait(); close(ended) }()
	stop = func() { cancel(); <-ended }
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s:\n%s", program, text)
		}
		log.Close()
	})
	return command.Process.Pid, stop
}
