package dir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/plugin"
)

// ways are held to the same, by name.
var ways = map[string]opener{"openat2": openat2, "walk": walk}

// forBothWays runs a test with each way in force.
func forBothWays(t *testing.T, test func(t *testing.T)) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			if fallback := Fallback(); name == "openat2" && fallback != "" {
				t.Skip(fallback)
			}
			was := chosen
			chosen = func() choice { return choice{open: way} }
			defer func() { chosen = was }()
			test(t)
		})
	}
}

// tree lays out what the names of TestOpen mean, with mounts of the same
// filesystem, which have the same device number.
func tree(t testing.TB) *os.File {
	t.Helper()
	plugin.RequireRoot(t)
	root := t.TempDir()
	for _, dir := range []string{"a/b/c", "bound", "below/sub", "\xff\xfe"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"file", "a/file", "below/inside", "over", "under"} {
		if err := os.WriteFile(filepath.Join(root, file), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"link": "a", "a/up": "..", "out": "/etc", "broken": "missing", "to-file": "file", "a/b/self": ".",
		"magic": "/proc/self/root",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	bind(t, filepath.Join(root, "below"), filepath.Join(root, "bound"))
	bind(t, filepath.Join(root, "under"), filepath.Join(root, "over"))
	return open(t, root)
}

func open(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func bind(t testing.TB, from, to string) {
	t.Helper()
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(to, unix.MNT_DETACH) })
}

const (
	directory = unix.O_RDONLY | unix.O_DIRECTORY
	looking   = unix.O_PATH | unix.O_DIRECTORY
	file      = unix.O_RDONLY | unix.O_NONBLOCK
	newFile   = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL
)

func TestOpen(t *testing.T) {
	tests := []struct {
		name   string
		flags  int
		want   error // whatever is done about mounts
		refuse error // with RefuseMounts, if that differs
	}{
		{"a", directory, nil, nil},
		{"a/b", directory, nil, nil},
		{"a/b/c", directory, nil, nil},
		{"a/b/c", looking, nil, nil},
		{".", directory, nil, nil},
		{".", looking, nil, nil},
		{"\xff\xfe", directory, nil, nil},
		{"file", file, nil, nil},
		{"a/file", file, nil, nil},
		{"fifo", file, nil, nil},
		{"a/b/c", file, nil, nil}, // as open(2): flags did not ask for a file

		{"missing", directory, unix.ENOENT, nil},
		{"missing/a", directory, unix.ENOENT, nil},
		{"a/missing", file, unix.ENOENT, nil},
		{"file", directory, unix.ENOTDIR, nil},
		{"file", looking, unix.ENOTDIR, nil},
		{"fifo", directory, unix.ENOTDIR, nil},
		{"file/a", directory, unix.ENOTDIR, nil},
		{"file/a", newFile, unix.ENOTDIR, nil},
		{strings.Repeat("n", 256), directory, unix.ENAMETOOLONG, nil},
		{strings.Repeat("n/", 2048) + "n", directory, unix.ENAMETOOLONG, nil},
		{"nul\x00", directory, unix.EINVAL, nil},

		{"link", directory, unix.ELOOP, nil},
		{"link", looking, unix.ELOOP, nil},
		{"link/b", directory, unix.ELOOP, nil},
		{"a/up", directory, unix.ELOOP, nil},
		{"a/up/file", file, unix.ELOOP, nil},
		{"a/b/self", directory, unix.ELOOP, nil},
		{"out", directory, unix.ELOOP, nil},
		{"out/passwd", file, unix.ELOOP, nil},
		{"broken", directory, unix.ELOOP, nil},
		{"to-file", file, unix.ELOOP, nil},
		{"to-file", directory, unix.ELOOP, nil},
		{"magic", directory, unix.ELOOP, nil},
		{"magic/etc", directory, unix.ELOOP, nil},
		{"link/new", newFile, unix.ELOOP, nil},

		{"link", itself, nil, nil},
		{"a/up", itself, nil, nil},
		{"broken", itself, nil, nil},
		{"magic", itself, nil, nil},
		{"file", itself, nil, nil},
		{"fifo", itself, nil, nil},
		{"a", itself, nil, nil},
		{".", itself, nil, nil},
		{"link/b", itself, unix.ELOOP, nil},
		{"a/b/self/c", itself, unix.ELOOP, nil},
		{"magic/etc", itself, unix.ELOOP, nil},
		{"missing", itself, unix.ENOENT, nil},
		{"bound", itself, nil, unix.EXDEV},
		{"over", itself, nil, unix.EXDEV},

		{"bound", directory, nil, unix.EXDEV},
		{"bound", looking, nil, unix.EXDEV},
		{"bound/sub", directory, nil, unix.EXDEV},
		{"bound/inside", file, nil, unix.EXDEV},
		{"bound/missing", file, unix.ENOENT, unix.EXDEV},
		{"over", file, nil, unix.EXDEV},
		{"over", directory, unix.ENOTDIR, unix.EXDEV},

		{"file", newFile, unix.EEXIST, nil},
		{"a", newFile, unix.EEXIST, nil},
		{"broken", newFile, unix.EEXIST, nil},
		{"to-file", newFile, unix.EEXIST, nil},

		{"", directory, unix.EINVAL, nil},
		{"..", directory, unix.EINVAL, nil},
		{"a/..", directory, unix.EINVAL, nil},
		{"a/../file", file, unix.EINVAL, nil},
		{"../..", directory, unix.EINVAL, nil},
		{"a/.", directory, unix.EINVAL, nil},
		{"./a", directory, unix.EINVAL, nil},
		{"a//b", directory, unix.EINVAL, nil},
		{"a/", directory, unix.EINVAL, nil},
		{"/", directory, unix.EINVAL, nil},
		{"/etc", directory, unix.EINVAL, nil},
		{"maybe", unix.O_WRONLY | unix.O_CREAT, unix.EINVAL, nil}, // would follow a link that somebody makes
	}
	forBothWays(t, func(t *testing.T) {
		root := tree(t)
		for _, test := range tests {
			for _, mounts := range []Mounts{RefuseMounts, CrossMounts} {
				want := test.want
				if mounts == RefuseMounts && test.refuse != nil {
					want = test.refuse
				}
				before := descriptors(t)
				f, err := OpenBeneath(root, test.name, test.flags, 0o600, mounts)
				if !errors.Is(err, want) {
					t.Errorf("%.40q, flags %#x, crossing mounts %t: error %v, want %v", test.name, test.flags, mounts, err, want)
				}
				if err == nil {
					wantTheFile(t, f, root.Name()+"/"+test.name, test.flags)
					f.Close()
				}
				if after := descriptors(t); after != before {
					t.Errorf("%.40q, flags %#x: %d descriptors were open, and %d are", test.name, test.flags, before, after)
				}
			}
		}
	})
}

// wantTheFile checks that a descriptor is of this path, and as flags ask.
func wantTheFile(t *testing.T, f *os.File, path string, flags int) {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	there, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(info, there) {
		t.Errorf("%s: another file was opened", path)
	}
	if f.Name() != path {
		t.Errorf("the file calls itself %s, want %s", f.Name(), path)
	}
	const kept = unix.O_ACCMODE | unix.O_PATH | unix.O_DIRECTORY | unix.O_NONBLOCK
	got, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil || got&kept != flags&kept {
		t.Errorf("%s: open with flags %#x (%v), want %#x", path, got, err, flags)
	}
	if got, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || got&unix.FD_CLOEXEC == 0 {
		t.Errorf("%s: programs that are run get the descriptor (%v)", path, err)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestOpenMakesFiles(t *testing.T) {
	forBothWays(t, func(t *testing.T) {
		root := tree(t)
		for _, name := range []string{"new", "a/b/new"} {
			f, err := OpenBeneath(root, name, newFile, 0o640, RefuseMounts)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString("written"); err != nil {
				t.Error(err)
			}
			wantTheFile(t, f, root.Name()+"/"+name, unix.O_WRONLY)
			if info, err := f.Stat(); err != nil || info.Mode() != 0o640 {
				t.Errorf("mode %s, %v", info.Mode(), err)
			}
		}
		if _, err := OpenBeneath(root, "bound/new", newFile, 0o600, RefuseMounts); !errors.Is(err, unix.EXDEV) {
			t.Errorf("making a file behind a mount ends with %v", err)
		}
		if _, err := os.Lstat(filepath.Join(root.Name(), "below", "new")); err == nil {
			t.Error("a file was made behind a mount")
		}
	})
}

// TestOpenMagic goes through /proc, whose links are no names of files.
func TestOpenMagic(t *testing.T) {
	forBothWays(t, func(t *testing.T) {
		proc := open(t, "/proc/self")
		for _, name := range []string{"root", "cwd", "root/etc", "fd/0", "exe"} {
			if f, err := OpenBeneath(proc, name, unix.O_RDONLY|unix.O_NONBLOCK, 0, CrossMounts); !errors.Is(err, unix.ELOOP) {
				t.Errorf("%s is followed: %v, %v", name, f, err)
			}
		}
	})
}

// TestOpenOfRemoved opens beneath a directory that is gone.
func TestOpenOfRemoved(t *testing.T) {
	forBothWays(t, func(t *testing.T) {
		dir := open(t, t.TempDir())
		if err := os.Remove(dir.Name()); err != nil {
			t.Fatal(err)
		}
		for _, flags := range []int{directory, newFile} {
			if _, err := OpenBeneath(dir, "name", flags, 0o600, RefuseMounts); !errors.Is(err, unix.ENOENT) {
				t.Errorf("flags %#x: error %v", flags, err)
			}
		}
	})
}

// TestOpenStartsOnMount has a mount as the directory itself, and one that is
// mounted over it later, which the descriptor does not see.
func TestOpenStartsOnMount(t *testing.T) {
	forBothWays(t, func(t *testing.T) {
		root := tree(t)
		bound := open(t, filepath.Join(root.Name(), "bound"))
		bind(t, filepath.Join(root.Name(), "a"), bound.Name())
		for name, flags := range map[string]int{"sub": directory, "inside": file, ".": directory} {
			f, err := OpenBeneath(bound, name, flags, 0, RefuseMounts)
			if err != nil {
				t.Error(err)
				continue
			}
			f.Close()
		}
	})
}

// TestOpenMoved opens files that are moved to another directory meanwhile, and back: that is
// no mount, though openat2(2) may say so.
func TestOpenMoved(t *testing.T) {
	forBothWays(t, func(t *testing.T) {
		root := tree(t)
		d := &Dir{File: root}
		a, err := d.Sub("a")
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		ctx, stop := context.WithCancel(t.Context())
		var moving sync.WaitGroup
		defer moving.Wait()
		defer stop()
		moving.Go(func() {
			for ctx.Err() == nil {
				unix.Renameat2(a.FD(), "file", d.FD(), "link", unix.RENAME_EXCHANGE)
				unix.Renameat2(a.FD(), "b", d.FD(), "fifo", unix.RENAME_EXCHANGE)
			}
		})
		answers := map[error]int{}
		for range 30_000 {
			for _, flags := range []int{file, itself, directory} {
				for _, name := range []string{"file", "b"} {
					f, err := OpenBeneath(a.File, name, flags, 0, RefuseMounts)
					if err == nil {
						f.Close()
						continue
					}
					var errno unix.Errno
					if errors.As(err, &errno); errno != unix.ELOOP && errno != unix.ENOTDIR {
						answers[errno]++
					}
				}
			}
		}
		if len(answers) > 0 {
			t.Errorf("errors by number: %v", answers)
		}
	})
}
