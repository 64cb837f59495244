package hostile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestCopiesOfShared lets every mischief race with copies where blocks are shared, and
// with snapshots of subvolumes.
func TestCopiesOfShared(t *testing.T) {
	plugin.RequireRoot(t)
	for _, filesystem := range []string{"xfs", "btrfs"} {
		t.Run(filesystem, func(t *testing.T) {
			w := newWorld(t, disk.Mount(t, filesystem, 1024*mebibyte))
			for _, m := range mischiefs {
				t.Run(m.name, func(t *testing.T) {
					copyRound(t, w, m)
					w.wantUnharmed(t)
				})
			}
			w.waitPurged(t)
		})
	}
}

// copyRound makes snapshots and clones of a volume while its tenant makes mischief. Each
// is made, whatever the tenant exchanges, or refused where it cannot be copied.
func copyRound(t *testing.T, w *world, m mischief) (steps int64) {
	if m.shares {
		return 0
	}
	id := w.create(t)
	v := w.tenant(t, id)
	defer v.close()
	if err := v.fill(); err != nil {
		t.Fatal(err)
	}
	outcomes := []codes.Code{codes.OK}
	if m.uncopyable {
		outcomes = append(outcomes, codes.Internal, codes.ResourceExhausted)
	}
	var snapshots, clones []string
	steps = m.during(v, func() {
		for range 3 {
			snapshot, err := w.snapshot(id)
			plugin.WantCode(t, "snapshot", err, outcomes...)
			if err == nil {
				snapshots = append(snapshots, snapshot)
			}
			clone, err := w.clone(id)
			plugin.WantCode(t, "clone", err, outcomes...)
			if err == nil {
				clones = append(clones, clone)
			}
		}
	})
	v.putBack()
	controller := csi.NewControllerClient(w.Conn)
	for _, id := range snapshots {
		w.wantOwn(t, filepath.Join(w.Base, "snapshots", id[37+len("snapshots."):]))
		_, err := controller.DeleteSnapshot(w.ctx, &csi.DeleteSnapshotRequest{SnapshotId: id})
		plugin.WantCode(t, "delete of a snapshot", err, codes.OK)
	}
	for _, id := range clones {
		w.wantOwn(t, w.data(id))
	}
	for _, id := range append(clones, id) {
		plugin.WantCode(t, "delete", w.Delete(w.ctx, id), codes.OK)
	}
	return steps
}

// snapshot asks for a snapshot until it is ready.
func (w *world) snapshot(volumeID string) (id string, err error) {
	w.volumes++
	for name := fmt.Sprintf("snapshot-%d", w.volumes); ; {
		made, err := csi.NewControllerClient(w.Conn).CreateSnapshot(w.ctx, &csi.CreateSnapshotRequest{Name: name, SourceVolumeId: volumeID})
		if err != nil || made.GetSnapshot().GetReadyToUse() {
			return made.GetSnapshot().GetSnapshotId(), err
		}
	}
}

// clone asks for a clone until it is made.
func (w *world) clone(volumeID string) (id string, err error) {
	w.volumes++
	for name := fmt.Sprintf("pvc-%d", w.volumes); ; {
		made, err := csi.NewControllerClient(w.Conn).CreateVolume(w.ctx, &csi.CreateVolumeRequest{
			Name:               name,
			VolumeCapabilities: []*csi.VolumeCapability{plugin.Capability(plugin.SingleWriter)},
			VolumeContentSource: &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
				Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: volumeID},
			}},
		})
		if status.Code(err) != codes.Aborted {
			return made.GetVolume().GetVolumeId(), err
		}
	}
}

// wantOwn checks that a directory holds what a tenant has written, and nothing from
// elsewhere.
func (w *world) wantOwn(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, unix.ENAMETOOLONG) { // so deep
			return fs.SkipDir
		}
		if err != nil || !entry.Type().IsRegular() || entry.Name() == "snapshot.json" {
			return err
		}
		content, err := os.ReadFile(path)
		// Zeros are what was truncated while it was copied.
		if text := strings.TrimRight(string(content), "\x00"); err == nil && text != "" && text != written {
			t.Errorf("%s holds %q", path, text)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
