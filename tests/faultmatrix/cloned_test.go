package faultmatrix

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestNodeCloned starts hostdir on what a clone of a node has: the same disk, and
// the same memory of it. The original's volumes are there, and take room. Once what
// is hostdir's is removed, the directory becomes a disk of the clone's own without a
// word or a restart, and has none of the original's volumes.
func TestNodeCloned(t *testing.T) {
	plugin.RequireRoot(t)
	s := start(t, disk.Mount(t, "xfs", 512*mebibyte))
	id, err := s.Create(s.ctx, "pvc-original", 100*mebibyte)
	plugin.WantCode(t, "create", err, codes.OK)
	s.stop(t)
	s.run(t)
	original := s.disks(t)[s.Base]
	if original.Volumes != 1 || original.AllocatedBytes != 100*mebibyte {
		t.Fatalf("the clone has %d volumes, which take %d bytes", original.Volumes, original.AllocatedBytes)
	}

	for _, name := range []string{"disk.json", "volumes", "trash", "claims"} {
		if err := os.RemoveAll(filepath.Join(s.Base, name)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the emptied directory is a new disk", 25*time.Second, func() bool {
		now := s.disks(t)[s.Base]
		return now.State == "ready" && now.UUID != original.UUID && now.Volumes == 0 && now.AllocatedBytes == 0
	})
	plugin.WantCode(t, "publish", s.Publish(s.ctx, id, s.target("target")), codes.FailedPrecondition)
	plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.FailedPrecondition)
	s.create(t, "pvc-clone")
}
