package dir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzOpen looks for a name to which the two ways give different answers, or
// which leads out of the directory.
func FuzzOpen(f *testing.F) {
	if fallback := Fallback(); fallback != "" {
		f.Skip(fallback)
	}
	for _, name := range []string{"a/b/c", "a/../file", "a//b", "./a", "", ".", "/etc", "0/\x00"} {
		f.Add(name, []byte(nil), uint8(0))
	}
	f.Add("", []byte{0, 1, 2}, uint8(2))
	f.Add("", []byte{4, 1}, uint8(3))
	f.Add("", []byte{12, 14}, uint8(5))
	f.Add("", []byte{15}, uint8(14)) // a new file where a mount is
	f.Add("", []byte{10, 3}, uint8(5))
	f.Add("", []byte{4}, uint8(8))
	f.Add("", []byte{0, 5}, uint8(9))
	root := tree(f)
	kinds := []int{directory, looking, file, newFile, itself}
	f.Fuzz(func(t *testing.T, name string, picks []byte, how uint8) {
		if len(picks) > 0 {
			name = pick(picks)
		}
		flags, mounts := kinds[int(how/2)%len(kinds)], Mounts(how%2 == 1)
		var answers [2]syscall.Errno
		var found [2]unix.Stat_t
		for i, way := range []opener{openat2, walk} {
			err := check(name, flags)
			var fd int
			if err == nil {
				fd, err = way(int(root.Fd()), name, flags|unix.O_CLOEXEC, 0o600, mounts)
			}
			if err != nil {
				if !errors.As(err, &answers[i]) {
					t.Fatalf("%q: %v is no errno", name, err)
				}
				continue
			}
			if err := unix.Fstat(fd, &found[i]); err != nil {
				t.Error(err)
			}
			wantBeneath(t, root, name, fd)
			unix.Close(fd)
			if flags&unix.O_CREAT != 0 {
				if err := os.Remove(filepath.Join(root.Name(), name)); err != nil {
					t.Error(err)
				}
				found[i] = unix.Stat_t{}
			}
		}
		if answers[0] != answers[1] || found[0].Ino != found[1].Ino || found[0].Dev != found[1].Dev {
			t.Errorf("%q, flags %#x, crossing mounts %t: openat2 answers %v, the walk %v", name, flags, mounts, answers[0], answers[1])
		}
	})
}

// pick makes a name of the names that tree lays out, most of which lead
// somewhere.
func pick(picks []byte) string {
	names := []string{
		"a", "b", "c", "file", "link", "up", "out", "broken", "to-file", "self", "magic", "below", "bound", "sub", "inside", "over", "under", "fifo",
		"new", "..", ".", "",
	}
	components := make([]string, len(picks))
	for i, p := range picks {
		components[i] = names[int(p)%len(names)]
	}
	return strings.Join(components, "/")
}

// wantBeneath asks the kernel what was opened.
func wantBeneath(t *testing.T, root *os.File, name string, fd int) {
	t.Helper()
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		t.Fatal(err)
	}
	if path != root.Name() && !strings.HasPrefix(path, root.Name()+"/") {
		t.Errorf("%q opens %s", name, path)
	}
}
