package faultmatrix

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestFullCopy copies a volume on a disk that gets full in the course of it, each time a
// little later, until there is room for all. Each copy before that is refused and leaves
// nothing behind, and the volume stays what it is.
func TestFullCopy(t *testing.T) {
	plugin.RequireRoot(t)
	for _, full := range []struct {
		name  string
		mount func(t *testing.T) string
		fill  func(t *testing.T, mounted string) (giveBack func())
	}{
		{"of bytes", smallExt4, fillBytes},
		{"of inodes", smallExt4, fillInodes},
		{"by a quota", func(t *testing.T) string { return disk.MountLimited(t, 256*mebibyte) }, limitAll},
	} {
		for _, made := range []struct {
			name   string
			make   func(s *server, source string) error
			at     string
			remove func(s *server, source string) error
		}{
			{"snapshot", (*server).snapshot, "snapshots/snapshot-1/data", (*server).deleteSnapshot},
			{"clone", (*server).clone, "volumes/pvc-2/data", (*server).deleteClone},
		} {
			t.Run(made.name+" "+full.name, func(t *testing.T) {
				t.Parallel()
				mounted := full.mount(t)
				s := layout(t, filepath.Join(mounted, "pool"))
				s.Configure(t, overcommitted(s.Base))
				s.Expect("NoInodes")
				s.run(t)
				req := plugin.GoodCreate("pvc-1", 4096)
				req.Parameters = map[string]string{"quota": "off"} // what is no subvolume is copied on btrfs too
				resp, err := s.CreateVolume(s.ctx, req)
				plugin.WantCode(t, "create", err, codes.OK)
				source := resp.GetVolume().GetVolumeId()
				data := filepath.Join(s.VolumeDir(source), "data")
				for i := range 12 {
					write(t, filepath.Join(data, fmt.Sprintf("file-%d", i)), strings.Repeat(fmt.Sprint(i%10), 3000))
				}
				// Once without a fault, so that what stays, such as snapshots/, is there.
				plugin.WantCode(t, made.name, made.make(s, source), codes.OK)
				plugin.WantCode(t, "delete", made.remove(s, source), codes.OK)
				s.waitPurged(t)
				before := tree(t, s.Base)
				giveBack := full.fill(t, mounted)

				refused := 0
				for ; refused < 500; refused++ {
					err := made.make(s, source)
					if err == nil {
						break
					}
					// Aborted: not even what was begun could be removed. A retry does it.
					plugin.WantCode(t, made.name+" on a full disk", err, codes.ResourceExhausted, codes.Aborted)
					if status.Code(err) == codes.ResourceExhausted {
						s.waitPurged(t)
						wantTree(t, s.Base, before)
					}
					giveBack()
					s.waitRoom(t)
				}
				t.Logf("%d copies were refused before one was made", refused)
				if refused == 0 {
					t.Error("the disk was not full: the test proves nothing")
				}
				wantSameFiles(t, data, filepath.Join(s.Base, made.at))
				plugin.CheckClean(t, s.Plugin)
				plugin.WantCode(t, "delete", made.remove(s, source), codes.OK)
				s.waitPurged(t)
				wantTree(t, s.Base, before)
			})
		}
	}
}

func (s *server) snapshot(source string) error {
	for {
		resp, err := s.CreateSnapshot(s.ctx, &csi.CreateSnapshotRequest{Name: "snapshot-1", SourceVolumeId: source})
		if err != nil || resp.GetSnapshot().GetReadyToUse() {
			return err
		}
	}
}

func (s *server) deleteSnapshot(source string) error {
	disk, _, _ := strings.Cut(source, ".")
	_, err := s.DeleteSnapshot(s.ctx, &csi.DeleteSnapshotRequest{SnapshotId: disk + ".snapshots.snapshot-1"})
	return err
}

func (s *server) clone(source string) error {
	req := plugin.GoodCreate("pvc-2", 4096)
	req.Parameters = map[string]string{"quota": "off"}
	req.VolumeContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
		Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: source},
	}}
	_, err := s.CreateVolume(s.ctx, req)
	return err
}

func (s *server) deleteClone(source string) error {
	disk, _, _ := strings.Cut(source, ".")
	return s.Delete(s.ctx, disk+".pvc-2")
}

// wantSameFiles checks that two directories hold the same files, to the byte.
func wantSameFiles(t *testing.T, want, got string) {
	t.Helper()
	names := func(dir string) (all []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	if is := names(got); !slices.Equal(names(want), is) {
		t.Errorf("%s holds %q", got, is)
	}
	for _, name := range names(want) {
		a, err := os.ReadFile(filepath.Join(want, name))
		b, failed := os.ReadFile(filepath.Join(got, name))
		if err := errors.Join(err, failed); err != nil || string(a) != string(b) || len(a) == 0 {
			t.Errorf("%s differs in the copy: %v", name, err)
		}
	}
}
