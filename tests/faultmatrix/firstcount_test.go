package faultmatrix

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestRestartBeforeFirstCount starts on volumes that are half full and that only a
// walk counts, and a trash. That it is not known yet what they hold costs neither
// room nor what was deleted.
func TestRestartBeforeFirstCount(t *testing.T) {
	plugin.RequireRoot(t)
	const held = 8 * mebibyte
	s := layout(t, disk.Mount(t, "ext4", 128*mebibyte))
	s.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q], trashTTL: 24h}]", s.Base))
	s.run(t)
	fill := func(name string) (volumeID string) {
		id, err := s.Create(s.ctx, name, 2*held)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(s.VolumeDir(id), "data", "file"), strings.Repeat("x", held))
		return id
	}
	fill("pvc-1")
	fill("pvc-2")
	plugin.WantCode(t, "delete", s.Delete(s.ctx, fill("pvc-3")), codes.OK)
	disk.Sync(t, s.Base)
	time.Sleep(2 * time.Second) // until its figures are of now, but for the trash
	before := s.capacity(t)

	for _, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		s.Signal(t, end)
		s.run(t)
		for began := time.Now(); time.Since(began) < 3*time.Second; time.Sleep(50 * time.Millisecond) {
			// What is not known is never held against the user. The trash is.
			if room := s.capacity(t); room < before-held-mebibyte || room > before+mebibyte {
				t.Fatalf("room for %d bytes after %s, it was %d", room, time.Since(began), before)
			}
			if left := s.trash(t); len(left) != 1 || left[0].Name != "pvc-3" {
				t.Fatalf("the trash holds %+v", left)
			}
		}
	}
	id, err := s.Create(s.ctx, "pvc-4", before-held-mebibyte)
	plugin.WantCode(t, "create", err, codes.OK)
	plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.OK)
}
