package dir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

func TestMountID(t *testing.T) {
	root := tree(t)
	for _, name := range []string{"a", "bound", "bound/sub", "over", "file"} {
		path := filepath.Join(root.Name(), name)
		f := open(t, path)
		got, err := MountID(f)
		if err != nil {
			t.Fatal(err)
		}
		if fromProc, err := mountIDFromProc(int(f.Fd())); err != nil || fromProc != got {
			t.Errorf("%s: mount %d, by /proc %d (%v)", name, got, fromProc, err)
		}
		mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(path))
		if err != nil {
			t.Fatal(err)
		}
		longest := &mountinfo.Info{}
		for _, m := range mounts {
			if len(m.Mountpoint) >= len(longest.Mountpoint) {
				longest = m
			}
		}
		if uint64(longest.ID) != got {
			t.Errorf("%s: mount %d, want %d at %s", name, got, longest.ID, longest.Mountpoint)
		}
	}
}

func TestIsMountRoot(t *testing.T) {
	root := tree(t)
	for name, want := range map[string]bool{".": false, "a": false, "bound": true, "bound/sub": false} {
		for _, flags := range []int{directory, looking} {
			fd, err := unix.Open(filepath.Join(root.Name(), name), flags, 0)
			if err != nil {
				t.Fatal(err)
			}
			f := os.NewFile(uintptr(fd), name)
			if got, err := IsMountRoot(f); err != nil || got != want {
				t.Errorf("%s: %t, %v; want %t", name, got, err, want)
			}
			f.Close()
		}
	}
}
