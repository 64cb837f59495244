// Package plugin runs hostdir's node plugin for tests: the real program, built
// with the race detector unless a test wants it fast, on directories and a socket
// of the test's own.
package plugin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hostdir/hostdir/pkg/socket"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// NodeName is the name of the node that the plugin thinks it is on, unless the test
// gives it another.
const NodeName = "node-1"

// Plugin is a running plugin and its surroundings.
type Plugin struct {
	// Base is the path of the disk of the pool "default".
	Base string
	// KubeletDir and RegistrationDir are what the plugin takes for kubelet's.
	KubeletDir, RegistrationDir string
	// Config is the configuration file.
	Config string
	// Socket is where the plugin serves CSI, Conn a connection to it.
	Socket string
	Conn   *grpc.ClientConn
	// Node is the name of its node, NodeName if it is "".
	Node string
	// HTTP is the address of /healthz and /readyz.
	HTTP string
	// Through is a command that runs the program, which it gets as its
	// arguments, in its own place: with other system calls, other limits.
	Through []string

	// Plain runs a program that is built without the race detector.
	Plain bool
	// StartProgram starts the program in place of (*exec.Cmd).Start.
	StartProgram func(*exec.Cmd) error

	cmd     *exec.Cmd
	log     bytes.Buffer
	stopped bool // when the test ends
	// expected are the kinds of findings that the test provokes.
	expected []string
}

// Layout makes the surroundings of a plugin in a new directory, with a pool
// "default" at base, or in that directory if base is "".
func Layout(t testing.TB, base string) *Plugin {
	t.Helper()
	RequireRoot(t)
	dir := shortTempDir(t)
	if base == "" {
		base = filepath.Join(dir, "pool")
	}
	p := &Plugin{
		Base:            base,
		KubeletDir:      filepath.Join(dir, "kubelet"),
		RegistrationDir: filepath.Join(dir, "registration"),
		Config:          filepath.Join(dir, "config.yaml"),
		Socket:          filepath.Join(dir, "csi", "csi.sock"),
	}
	for _, d := range []string{base, p.KubeletDir, p.RegistrationDir} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q]}]", base))
	return p
}

// shortTempDir is t.TempDir without the test's name: the paths of sockets are
// bounded.
func shortTempDir(t testing.TB) string {
	t.Helper()
	made, err := os.MkdirTemp("", "hostdir-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(made); err != nil {
			t.Error(err)
		}
	})
	dir, err := filepath.EvalSymlinks(made)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Configure replaces the configuration file.
func (p *Plugin) Configure(t testing.TB, config string) {
	t.Helper()
	if err := os.WriteFile(p.Config, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Start lays out a plugin and runs it until the test ends.
func Start(t testing.TB) *Plugin {
	t.Helper()
	p := Layout(t, "")
	p.Run(t)
	return p
}

// Run starts the program and waits until it answers. When the test ends
// `hostdir check` must find nothing wrong (see Expect), and the program is
// stopped; if the test failed, its log is shown.
func (p *Plugin) Run(t testing.TB) {
	t.Helper()
	p.Launch(t)
	p.waitHealthy(t)
}

// Launch is Run without the wait: the program may end before it ever answers.
func (p *Plugin) Launch(t testing.TB) {
	t.Helper()
	p.HTTP = freeAddress(t)
	command := append(slices.Clone(p.Through), p.program(t),
		"--endpoint=unix://"+p.Socket,
		"--node-name="+cmp.Or(p.Node, NodeName),
		"--config="+p.Config,
		"--kubelet-dir="+p.KubeletDir,
		"--registration-dir="+p.RegistrationDir,
		"--http-address="+p.HTTP,
		"--v=4")
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Env = p.environment()
	p.cmd.Stdout = &p.log
	p.cmd.Stderr = &p.log
	start := p.StartProgram
	if start == nil {
		start = (*exec.Cmd).Start
	}
	if err := start(p.cmd); err != nil {
		p.cmd = nil
		t.Fatal(err)
	}
	if !p.stopped {
		p.stopped = true
		t.Cleanup(func() { p.stop(t) })
	}
	conn, err := grpc.NewClient(socket.Target(p.Socket), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p.Conn = conn
}

func (p *Plugin) program(t testing.TB) string {
	t.Helper()
	if p.Plain {
		return BuildPlain(t)
	}
	return Build(t)
}

// stop ends the program at the end of the test and looks through its log.
func (p *Plugin) stop(t testing.TB) {
	if p.cmd != nil {
		CheckClean(t, p)
	}
	p.Signal(t, syscall.SIGTERM)
	if t.Failed() {
		t.Logf("hostdir's log:\n%s", p.log.String())
	}
	if bytes.Contains(p.log.Bytes(), []byte("WARNING: DATA RACE")) {
		t.Errorf("the race detector found a race:\n%s", p.log.String())
	}
}

// environment is the program's. The race detector would keep each of its ends
// waiting for a second.
func (p *Plugin) environment() []string { return append(os.Environ(), "GORACE=atexit_sleep_ms=0") }

// Signal sends the program a signal that ends it, and waits for the end.
func (p *Plugin) Signal(t testing.TB, signal os.Signal) {
	t.Helper()
	if p.cmd == nil {
		return
	}
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Error(err)
	}
	err := p.cmd.Wait()
	if err != nil && signal != syscall.SIGKILL {
		t.Errorf("hostdir did not stop cleanly: %v", err)
	}
	p.cmd = nil
}

// WaitKilled waits until the program ends that somebody else kills.
func (p *Plugin) WaitKilled(t testing.TB) {
	t.Helper()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("hostdir was not killed: %v", err)
	}
	p.cmd = nil
}

// Log returns what the program has written so far. Call it after Signal.
func (p *Plugin) Log() string { return p.log.String() }

func (p *Plugin) waitHealthy(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if code, _ := p.get("/healthz"); code == http.StatusOK && p.looked() && p.listens() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("hostdir does not answer /healthz, or does not look at its disks; its log follows")
		}
		if p.hasEnded() {
			t.Fatal("hostdir has ended; its log follows")
		}
	}
}

// get asks for a page of the program's HTTP server. Without an answer the code is 0.
func (p *Plugin) get(path string) (code int, body string) {
	resp, err := http.Get("http://" + p.HTTP + path)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(text)
}

// looked reports whether the program has looked at each of its disks, whatever it
// has found.
func (p *Plugin) looked() bool {
	code, metrics := p.get("/metrics")
	return code == http.StatusOK && strings.Contains(metrics, "\nhostdir_disk_up{") && !strings.Contains(metrics, `reason="pending"`)
}

// listens reports whether the program has made all of its sockets.
func (p *Plugin) listens() bool {
	for _, path := range p.Sockets() {
		if _, err := os.Lstat(path); err != nil {
			return false
		}
	}
	return true
}

// Sockets are the files that the program makes outside of its pools: for CSI, for
// kubelet's registration, for operators.
func (p *Plugin) Sockets() []string {
	return []string{p.Socket, filepath.Join(p.RegistrationDir, "csi.hostdir.io-reg.sock"), filepath.Join(filepath.Dir(p.Socket), "admin.sock")}
}

// hasEnded reports whether the program has, without waiting for it.
func (p *Plugin) hasEnded() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo != 0
}

// Context ends when the test does, or after a minute.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// RequireRoot skips a test that cannot run as an ordinary user.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes real mounts")
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Programs are kept in the user's cache folder. A new one replaces the old at
// once, so that test processes running side by side all find one.
var (
	build      = sync.OnceValues(func() (string, error) { return buildAs("hostdir", os.Environ(), "-race") })
	buildPlain = sync.OnceValues(func() (string, error) { return buildAs("hostdir-plain", append(os.Environ(), "CGO_ENABLED=0")) })
)

func buildAs(name string, env []string, flags ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "hostdir", "plugin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	aside, err := os.MkdirTemp(dir, "building-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(aside)
	built := filepath.Join(aside, name)
	args := append([]string{"build", "-tags", "grpcnotrace", "-o", built}, flags...)
	cmd := exec.Command("go", append(args, "github.com/hostdir/hostdir/cmd/hostdir")...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	program := filepath.Join(dir, name)
	return program, os.Rename(built, program)
}

// Build builds the program once for all tests of a package.
func Build(t testing.TB) string {
	t.Helper()
	return must(t, build)
}

// BuildPlain builds the program as it is shipped, without the race detector.
func BuildPlain(t testing.TB) string {
	t.Helper()
	return must(t, buildPlain)
}

func must(t testing.TB, build func() (string, error)) string {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return program
}
