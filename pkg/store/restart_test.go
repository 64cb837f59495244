package store

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestCapacityAcrossStarts has volumes that nobody has counted since the process
// started, or since their disk came back: what can be had is what it was.
func TestCapacityAcrossStarts(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	for name, mount := range map[string]func(testing.TB) string{
		"ext4":         func(t testing.TB) string { return disk.Mount(t, "ext4", 192*mebibyte) },
		"btrfs limits": func(t testing.TB) string { return disk.MountLimited(t, 512*mebibyte) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mounted := mount(t)
			base := filepath.Join(mounted, "disk")
			mkdirAll(t, base)
			check(t, allocate(filepath.Join(mounted, "others"), 20*mebibyte))
			s := keeping(t, base, "trashTTL: 168h, minTrashTTL: 1h")
			req := request("pvc-1")
			req.RequiredBytes = 80 * mebibyte
			v := mustCreate(t, s, req)
			same := func(what string, s *Store, want int64) {
				t.Helper()
				slack := int64(2 * mebibyte)
				if name != "ext4" {
					slack = 24 * mebibyte
				}
				s.sampleAll()
				if got := s.Capacity(defaultClass).AvailableBytes; got < want-slack || got > want+slack {
					t.Errorf("%s: %d MiB are available, want %d", what, got>>20, want>>20)
				}
			}
			settle := func() {
				disk.Sync(t, mounted)
				only(t, s).walk(t.Context())
				s.countAll(t.Context())
			}
			settle()
			room := s.Capacity(defaultClass).AvailableBytes

			check(t, allocate(filepath.Join(v.Path, "file"), 70*mebibyte))
			same("a burst within the claim", s, room)
			disk.Sync(t, mounted)
			same("a burst within the claim, on disk", s, room)
			s.remember(t.Context())
			s = reopen(t, s)
			same("a restart", s, room)
			move(t, base, markerFile, "aside")
			s.refresh(t.Context())
			if c := s.Capacity(defaultClass); c != (Capacity{}) {
				t.Errorf("capacity %+v of a disk that is away", c)
			}
			move(t, base, "aside", markerFile)
			s.refresh(t.Context())
			same("a disk that is back", s, room)
			settle()
			same("counted", s, room)
			s = reopen(t, s) // remembers what it was told a moment ago
			same("another restart", s, room)

			// A node that remembers nothing goes by what is certain.
			check(t, exec.Command("rm", s.history.File()).Run())
			s = reopen(t, s)
			if name == "ext4" {
				same("a first start", s, room+10*mebibyte) // which the volume may still hold of what others do
				settle()
			}
			same("a first start, counted", s, room)

			// A volume comes back whose room was given to another.
			mustDelete(t, s, v.ID)
			same("deleted", s, room+10*mebibyte)
			other := request("pvc-2")
			other.RequiredBytes = s.Capacity(defaultClass).AvailableBytes
			mustCreate(t, s, other)
			same("all is taken", s, 0)
			_, beyond, err := s.Undelete(t.Context(), v.ID)
			if err != nil || beyond < 8*mebibyte || beyond > 12*mebibyte {
				t.Errorf("brought back with %d MiB too much allocated, want 10: %v", beyond>>20, err)
			}
			same("more is allocated than there is", s, 0)
			_, err = s.Create(t.Context(), request("pvc-3"))
			wantClass(t, err, errdefs.ErrNoSpace)
		})
	}
}

// TestSubvolumesShareRoom has two disks in two subvolumes of one btrfs, which have
// device numbers of their own.
func TestSubvolumesShareRoom(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	mounted := disk.Mount(t, "btrfs", 512*mebibyte)
	var paths []string
	for _, name := range []string{"first", "second"} {
		path := filepath.Join(mounted, name)
		if out, err := exec.Command("btrfs", "subvolume", "create", path).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		paths = append(paths, path)
	}
	s := openStore(t, onePool(paths...))
	disks := s.inUse()
	if disks[0].id.Inode.Device == disks[1].id.Inode.Device {
		t.Fatal("the subvolumes have one device number: the test proves nothing")
	}
	if disks[0].storage != disks[1].storage {
		t.Errorf("the disks are on %s and %s, want the same", disks[0].storage, disks[1].storage)
	}
	c := s.Capacity(defaultClass)
	if c.AvailableBytes > 512*mebibyte || c.AvailableBytes != c.MaximumVolumeBytes {
		t.Errorf("capacity %+v on a filesystem of 512 MiB", c)
	}
	req := request("pvc-1")
	req.RequiredBytes = c.AvailableBytes - 100*mebibyte
	mustCreate(t, s, req)
	if c := s.Capacity(defaultClass); c.AvailableBytes > 100*mebibyte {
		t.Errorf("capacity %+v, want 100 MiB", c)
	}
	req.Name = "pvc-2"
	_, err := s.Create(t.Context(), req)
	wantClass(t, err, errdefs.ErrNoSpace)
}
