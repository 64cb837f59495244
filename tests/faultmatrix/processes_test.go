package faultmatrix

import (
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/plugin"
)

// TestTwoProcesses starts a second process on the disk of one that serves, as a
// forced deletion of the pod does: it touches nothing, not even what looks like the
// leftovers of a crash, before the first has ended.
func TestTwoProcesses(t *testing.T) {
	s := start(t, "")
	id := s.create(t, "pvc-1")
	building := filepath.Join(s.Base, "volumes", ".new-pvc-2")
	if err := os.Mkdir(building, 0o700); err != nil {
		t.Fatal(err)
	}
	before := tree(t, s.Base)

	second := &server{ctx: s.ctx, Plugin: &plugin.Plugin{
		Base: s.Base, KubeletDir: s.KubeletDir, RegistrationDir: s.RegistrationDir, Config: s.Config, Socket: s.Socket,
	}}
	second.Launch(t)
	await(t, "the second process says that it lives", 10*time.Second, func() bool { return httpStatus(second.HTTP, "/healthz") == http.StatusOK })
	for began := time.Now(); time.Since(began) < 2*time.Second; time.Sleep(100 * time.Millisecond) {
		if got := httpStatus(second.HTTP, "/metrics"); got != http.StatusServiceUnavailable {
			t.Fatalf("the second process answers for its disks with %d", got)
		}
	}
	wantTree(t, s.Base, before)
	target := s.target("target")
	plugin.WantCode(t, "publish", s.Publish(s.ctx, id, target), codes.OK) // by the first
	plugin.WantCode(t, "unpublish", s.Unpublish(s.ctx, id, target), codes.OK)

	s.Signal(t, syscall.SIGKILL)
	killed := time.Now()
	second.Client = plugin.NewClient(second.Conn)
	await(t, "the second process uses the disk", 10*time.Second, func() bool { return second.Publish(s.ctx, id, target) == nil })
	took := time.Since(killed)
	t.Logf("the second process went on after %s", took)
	if took > 2*time.Second {
		t.Errorf("the second process went on after %s, want about one second at most", took)
	}
	plugin.WantCode(t, "unpublish", second.Unpublish(s.ctx, id, target), codes.OK)
	second.waitPurged(t)
	if _, err := os.Lstat(building); !os.IsNotExist(err) {
		t.Errorf("what the first had begun is left: %v", err)
	}
}

// httpStatus is the code that an HTTP server answers with, 0 if it does not.
func httpStatus(address, path string) int {
	resp, err := http.Get("http://" + address + path)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}
