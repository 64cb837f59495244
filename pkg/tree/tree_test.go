package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// onEach runs a test between directories of one filesystem, and of two.
func onEach(t *testing.T, test func(t *testing.T, from, to string)) {
	plugin.RequireRoot(t)
	for filesystem, size := range map[string]int64{"ext4": 64 << 20, "xfs": 300 << 20, "btrfs": 256 << 20} {
		t.Run(filesystem, func(t *testing.T) {
			mounted := disk.Mount(t, filesystem, size)
			for _, name := range []string{"from", "to"} {
				if err := os.Mkdir(filepath.Join(mounted, name), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			test(t, filepath.Join(mounted, "from"), filepath.Join(mounted, "to"))
		})
	}
	t.Run("to another filesystem", func(t *testing.T) {
		from, to := filepath.Join(disk.Mount(t, "xfs", 300<<20), "from"), filepath.Join(disk.Mount(t, "ext4", 64<<20), "to")
		for _, path := range []string{from, to} {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		test(t, from, to)
	})
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// lay makes one of everything.
func lay(t *testing.T, at string) {
	t.Helper()
	path := func(name string) string { return filepath.Join(at, name) }
	must(t,
		os.MkdirAll(path("deep/er/est"), 0o750),
		os.WriteFile(path("plain"), bytes.Repeat([]byte("content "), 1000), 0o640),
		os.WriteFile(path("empty"), nil, 0o600),
		os.WriteFile(path("setuid"), []byte("x"), 0o755),
		os.Chown(path("setuid"), 1001, 1002), unix.Chmod(path("setuid"), 0o6755),
		os.Link(path("plain"), path("deep/other-name")),
		os.Symlink("/nowhere/at all", path("link")),
		os.Lchown(path("link"), 7, 8),
		os.Link(path("link"), path("deep/link-too")),
		unix.Mkfifo(path("fifo"), 0o622),
		unix.Mknod(path("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		os.WriteFile(path("name\nwith \xff"), []byte("y"), 0o600),
		unix.Setxattr(path("plain"), "user.colour", []byte("red"), 0),
		unix.Setxattr(path("deep"), "trusted.secret", []byte{0, 1}, 0),
		unix.Lsetxattr(path("link"), "trusted.of-link", []byte{2}, 0),
		unix.Lsetxattr(path("fifo"), "trusted.of-fifo", []byte{3}, 0),
		// cap_net_bind_service=ep
		unix.Setxattr(path("empty"), "security.capability", []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0),
		// user::rw-, user:1001:r--, group::---, mask::r--, other::---
		unix.Setxattr(path("plain"), "system.posix_acl_access", []byte{
			2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0xe9, 3, 0, 0,
			4, 0, 0, 0, 255, 255, 255, 255, 0x10, 0, 4, 0, 255, 255, 255, 255, 0x20, 0, 0, 0, 255, 255, 255, 255}, 0),
	)
	sparse, err := os.Create(path("sparse"))
	must(t, err)
	_, err = sparse.WriteAt([]byte("in the middle"), 8<<20)
	must(t, err, sparse.Truncate(16<<20), sparse.Close())
	big := make([]byte, 3<<20)
	for i := range big {
		big[i] = byte(i * i >> 8)
	}
	must(t, os.WriteFile(path("big"), big, 0o600), os.Chmod(at, 0o2775), os.Chown(at, 999, 998))
	old := time.Unix(1e9, 123456789)
	must(t, os.Chtimes(path("big"), old, old), os.Chtimes(path("deep/er"), old, old))
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	defer unix.Close(socket)
	fd, err := unix.Open(at, unix.O_PATH|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Bind(socket, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/socket", fd)}))
}

func open(t *testing.T, path string) *dir.Dir {
	t.Helper()
	d, err := dir.Open(path)
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func TestCopy(t *testing.T) {
	onEach(t, func(t *testing.T, from, to string) {
		lay(t, from)
		w := new(Watch)
		size, err := Measure(t.Context(), open(t, from), w, nil)
		must(t, err)
		if size.Sockets != 1 || size.Files != w.Files.Load()-1 { // itself, and two files that have two names
			t.Errorf("measured %+v, %d entries", size, w.Files.Load())
		}
		if size.Bytes < 3<<20 || size.Bytes > 5<<20 {
			t.Errorf("%d bytes measured: holes count, or content does not", size.Bytes)
		}
		// Cut short at each step, and begun again.
		for stop := 0; ; stop++ {
			ctx, cancel := context.WithCancel(t.Context())
			steps := 0
			w := &Watch{Step: func() error {
				if steps++; steps > 3*stop {
					cancel()
				}
				return nil
			}}
			_, err := Copy(ctx, open(t, from), open(t, to), w, Options{})
			cancel()
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		must(t, Compare(t.Context(), open(t, from), open(t, to), new(Watch)))
		var a, b unix.Stat_t
		must(t, unix.Lstat(filepath.Join(to, "plain"), &a), unix.Lstat(filepath.Join(to, "deep/other-name"), &b))
		if a.Ino != b.Ino || a.Nlink != 2 {
			t.Error("the two names are two files in the copy")
		}
		must(t, unix.Lstat(filepath.Join(to, "sparse"), &a))
		if a.Size != 16<<20 || a.Blocks*512 > 1<<20 {
			t.Errorf("the sparse file takes %d bytes", a.Blocks*512)
		}
		if _, err := os.Lstat(filepath.Join(to, "socket")); err == nil {
			t.Error("the socket was copied")
		}
	})
}

// TestCompare changes one thing at a time in a copy.
func TestCompare(t *testing.T) {
	onEach(t, func(t *testing.T, from, to string) {
		lay(t, from)
		path := func(name string) string { return filepath.Join(to, name) }
		for what, change := range map[string]func() error{
			"content": func() error {
				var st unix.Stat_t
				must(t, unix.Stat(path("big"), &st))
				f, err := os.OpenFile(path("big"), os.O_WRONLY, 0)
				must(t, err)
				_, err = f.WriteAt([]byte{42}, 2<<20)
				must(t, err, f.Close())
				return os.Chtimes(path("big"), time.Unix(st.Atim.Unix()), time.Unix(st.Mtim.Unix()))
			},
			"content in a hole": func() error {
				var st unix.Stat_t
				must(t, unix.Stat(path("sparse"), &st))
				f, err := os.OpenFile(path("sparse"), os.O_WRONLY, 0)
				must(t, err)
				_, err = f.WriteAt([]byte{42}, 1<<20)
				must(t, err, f.Close())
				return os.Chtimes(path("sparse"), time.Unix(st.Atim.Unix()), time.Unix(st.Mtim.Unix()))
			},
			"mode":                  func() error { return os.Chmod(path("deep"), 0o700) },
			"mode of the top":       func() error { return os.Chmod(to, 0o700) },
			"owner of a link":       func() error { return os.Lchown(path("link"), 9, 9) },
			"time":                  func() error { return os.Chtimes(path("deep/er"), time.Now(), time.Now()) },
			"an attribute":          func() error { return unix.Setxattr(path("plain"), "user.colour", []byte("blue"), 0) },
			"an attribute less":     func() error { return unix.Removexattr(path("empty"), "security.capability") },
			"an attribute more":     func() error { return unix.Setxattr(path("empty"), "user.more", nil, 0) },
			"a file less":           func() error { return os.Remove(path("fifo")) },
			"a file more":           func() error { return os.WriteFile(path("deep/more"), nil, 0o600) },
			"a link to elsewhere":   func() error { return errors.Join(os.Remove(path("link")), os.Symlink("else", path("link"))) },
			"a FIFO that is a file": func() error { return errors.Join(os.Remove(path("fifo")), os.WriteFile(path("fifo"), nil, 0o622)) },
			"a name that is a file": func() error {
				content, err := os.ReadFile(path("plain"))
				must(t, err, os.Remove(path("deep/other-name")))
				return os.WriteFile(path("deep/other-name"), content, 0o640)
			},
		} {
			_, err := Copy(t.Context(), open(t, from), open(t, to), new(Watch), Options{})
			must(t, err)
			must(t, Compare(t.Context(), open(t, from), open(t, to), new(Watch)))
			must(t, change())
			if err := Compare(t.Context(), open(t, from), open(t, to), new(Watch)); !errors.Is(err, ErrDiffers) {
				t.Errorf("%s: %v", what, err)
			}
			if strings.HasPrefix(what, "content") {
				must(t, os.RemoveAll(to), os.Mkdir(to, 0o700)) // what only a comparison sees
			}
		}
	})
}

// TestStaysInside has a mount and another's directory in the tree.
func TestStaysInside(t *testing.T) {
	plugin.RequireRoot(t)
	from, to := t.TempDir(), t.TempDir()
	must(t, os.MkdirAll(filepath.Join(from, "a/mounted"), 0o700))
	pool := open(t, filepath.Join(from, "a"))
	inode, err := pool.Inode()
	must(t, err)
	if _, err := Measure(t.Context(), open(t, from), new(Watch), map[dir.Inode]string{inode: "a disk"}); err == nil || !strings.Contains(err.Error(), "/a is a disk") {
		t.Errorf("a directory that holds a disk: %v", err)
	}
	must(t, unix.Mount(t.TempDir(), filepath.Join(from, "a/mounted"), "", unix.MS_BIND, ""))
	t.Cleanup(func() { unix.Unmount(filepath.Join(from, "a/mounted"), unix.MNT_DETACH) })
	if _, err := Measure(t.Context(), open(t, from), new(Watch), nil); !errors.Is(err, unix.EXDEV) {
		t.Errorf("a directory with a mount in it: %v", err)
	}
	if _, err := Copy(t.Context(), open(t, from), open(t, to), new(Watch), Options{}); !errors.Is(err, unix.EXDEV) {
		t.Errorf("a copy over a mount: %v", err)
	}
}

// TestTooDeep has a tree that takes more descriptors than there should be.
func TestTooDeep(t *testing.T) {
	plugin.RequireRoot(t)
	from := t.TempDir()
	at, err := unix.Open(from, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	for range maxDepth + 2 {
		must(t, unix.Mkdirat(at, "d", 0o700))
		next, err := unix.Openat(at, "d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		must(t, err, unix.Close(at))
		at = next
	}
	unix.Close(at)
	if _, err := Measure(t.Context(), open(t, from), new(Watch), nil); err == nil || !strings.Contains(err.Error(), "directories deep") {
		t.Error(err)
	}
	if _, err := Copy(t.Context(), open(t, from), open(t, t.TempDir()), new(Watch), Options{}); err == nil || !strings.Contains(err.Error(), "directories deep") {
		t.Error(err)
	}
}
