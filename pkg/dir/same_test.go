package dir

import (
	"errors"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestOpenSame opens one of everything, and then what another has taken the name of: that
// one is not opened.
func TestOpenSame(t *testing.T) {
	forBothWays(t, func(t *testing.T) {
		root := tree(t)
		if err := unix.Mknod(filepath.Join(root.Name(), "device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
		d := &Dir{File: root}
		kinds := map[string]int{ // how each is opened
			"a": unix.O_DIRECTORY, "file": 0, "link": unix.O_PATH, "broken": unix.O_PATH, "fifo": unix.O_PATH, "device": unix.O_PATH,
		}
		for name, flags := range kinds {
			seen, err := d.Lstat(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Fchownat(d.FD(), name, 7, 8, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				t.Fatal(err)
			}
			f, is, err := d.OpenSame(name, seen)
			if err != nil {
				t.Fatal(err)
			}
			wantTheFile(t, f, d.Path(name), flags)
			if is.Uid != 7 || is.Gid != 8 {
				t.Errorf("%s is said to be of %d:%d, as it was before", name, is.Uid, is.Gid)
			}
			f.Close()

			opened := watchOpens(t, root.Name(), kinds)
			for other := range kinds {
				if other == name {
					continue
				}
				exchange(t, d, name, other)
				before := descriptors(t)
				if _, _, err := d.OpenSame(name, seen); !errors.Is(err, ErrExchanged) {
					t.Errorf("%s in place of %s: %v", other, name, err)
				}
				if after := descriptors(t); after != before {
					t.Errorf("%d descriptors were open, and %d are", before, after)
				}
				exchange(t, d, name, other)
			}
			if opened() {
				t.Errorf("what was in place of %s was opened", name)
			}
		}
		for name, want := range map[string]error{"bound": unix.EXDEV, "over": unix.EXDEV, "missing": unix.ENOENT} {
			if _, _, err := d.OpenSame(name, unix.Stat_t{}); !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func exchange(t *testing.T, d *Dir, a, b string) {
	t.Helper()
	if err := unix.Renameat2(d.FD(), a, d.FD(), b, unix.RENAME_EXCHANGE); err != nil {
		t.Fatal(err)
	}
}

// watchOpens has the kernel tell whether any of these is opened; O_PATH does not count.
func watchOpens(t *testing.T, root string, names map[string]int) (opened func() bool) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	for name := range names {
		if _, err := unix.InotifyAddWatch(fd, filepath.Join(root, name), unix.IN_OPEN|unix.IN_DONT_FOLLOW); err != nil {
			t.Fatal(err)
		}
	}
	return func() bool {
		defer unix.Close(fd)
		var event [unsafe.Sizeof(unix.InotifyEvent{}) + unix.NAME_MAX + 1]byte
		_, err := unix.Read(fd, event[:])
		if err != nil && err != unix.EAGAIN {
			t.Fatal(err)
		}
		return err == nil
	}
}
