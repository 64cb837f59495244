package faultmatrix

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestFull creates a volume on a disk that others have filled, then with a little
// room, and a little more, until it can be made. Each call before that leaves
// nothing behind.
func TestFull(t *testing.T) {
	plugin.RequireRoot(t)
	for _, test := range []struct {
		name  string
		mount func(t *testing.T) string
		// fill takes what there is, beside the pool, and returns what gives a
		// little of it back.
		fill func(t *testing.T, mounted string) (giveBack func())
	}{
		{"of bytes", smallExt4, fillBytes},
		{"of inodes", smallExt4, fillInodes},
		{"by a quota", func(t *testing.T) string { return disk.MountLimited(t, 256*mebibyte) }, limitAll},
	} {
		t.Run(test.name, func(t *testing.T) {
			mounted := test.mount(t)
			s := layout(t, filepath.Join(mounted, "pool"))
			s.Configure(t, overcommitted(s.Base))
			s.run(t)
			create := func(name string) (volumeID string, err error) {
				req := plugin.GoodCreate(name, 4096)
				req.Parameters = map[string]string{"quota": "off"} // to be removed at once, on btrfs too
				resp, err := s.CreateVolume(s.ctx, req)
				return resp.GetVolume().GetVolumeId(), err
			}
			id, err := create("pvc-before")
			plugin.WantCode(t, "create", err, codes.OK)
			plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.OK)
			s.waitPurged(t)
			before := tree(t, s.Base)
			giveBack := test.fill(t, mounted)

			var got []codes.Code
			for range 64 {
				id, err := create("pvc-1")
				got = append(got, status.Code(err))
				if err == nil {
					plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.OK)
					break
				}
				// Aborted: not even what was begun could be removed. A retry does it.
				plugin.WantCode(t, "create on a full disk", err, codes.ResourceExhausted, codes.Aborted)
				if status.Code(err) == codes.ResourceExhausted {
					wantTree(t, s.Base, before)
				}
				giveBack()
				s.waitRoom(t)
			}
			if !slices.Contains(got, codes.ResourceExhausted) || got[len(got)-1] != codes.OK {
				t.Errorf("codes %v, want some calls to fail and one to succeed", got)
			}
			t.Logf("%d calls failed before one succeeded", len(got)-1)
			s.waitPurged(t)
			wantTree(t, s.Base, before)
		})
	}
}

// overcommitted is a configuration by which a volume of a mebibyte may be allocated
// as long as a block is free, so that it is the disk that says no.
func overcommitted(base string) string {
	return fmt.Sprintf("pools: [{name: default, paths: [%q], overcommit: 1000}]", base)
}

// waitRoom waits until the plugin knows of the room that was given back. A look at the
// disk may have found none, while a call that failed had taken the last.
func (s *server) waitRoom(t *testing.T) {
	t.Helper()
	s.waitCapacity(t, "room was given back", func(bytes int64) bool { return bytes >= mebibyte })
}

// blockSize is that of smallExt4, in bytes.
const blockSize = 2048

// smallExt4 keeps nothing back for root.
func smallExt4(t *testing.T) string {
	image := disk.Image(t, "ext4", 8*mebibyte)
	run(t, "mkfs.ext4", "-q", "-F", "-b", fmt.Sprint(blockSize), "-m", "0", image)
	dir := t.TempDir()
	disk.MountImage(t, image, dir)
	return dir
}

func run(t *testing.T, command ...string) {
	t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
}

func fillBytes(t *testing.T, mounted string) (giveBack func()) {
	f, err := os.Create(filepath.Join(mounted, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	var size int64
	for block := make([]byte, blockSize); ; size += int64(len(block)) {
		if _, err := f.Write(block); errors.Is(err, unix.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return func() {
		size -= blockSize
		if err := errors.Join(f.Truncate(size), f.Sync()); err != nil {
			t.Fatal(err)
		}
	}
}

func fillInodes(t *testing.T, mounted string) (giveBack func()) {
	var made []string
	for {
		path := filepath.Join(mounted, fmt.Sprintf("filler-%d", len(made)))
		if err := os.WriteFile(path, nil, 0o600); errors.Is(err, unix.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		made = append(made, path)
	}
	return func() {
		last := made[len(made)-1]
		made = made[:len(made)-1]
		if err := os.Remove(last); err != nil {
			t.Fatal(err)
		}
	}
}

// limitAll limits what may be on a btrfs outside of volumes to less than there is.
func limitAll(t *testing.T, mounted string) (giveBack func()) {
	// The limit is lifted through another subvolume: that takes some room as well.
	other := filepath.Join(mounted, "other")
	run(t, "btrfs", "subvolume", "create", other)
	run(t, "btrfs", "qgroup", "limit", "1", "0/5", other)
	return func() { run(t, "btrfs", "qgroup", "limit", "none", "0/5", other) }
}
