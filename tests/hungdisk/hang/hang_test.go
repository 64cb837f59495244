package hang

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/plugin"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// looks are ways to touch a directory and a file "file" in it.
var looks = map[string]func(dir string) error{
	"stat":    func(dir string) error { _, err := os.Stat(dir); return err },
	"open":    func(dir string) error { f, err := os.Open(dir); f.Close(); return err },
	"statfs":  func(dir string) error { return unix.Statfs(dir, new(unix.Statfs_t)) },
	"readdir": func(dir string) error { _, err := os.ReadDir(dir); return err },
	"mkdir":   func(dir string) error { return os.Mkdir(filepath.Join(dir, "new"), 0o755) },
	"look up": func(dir string) error { _, err := os.Stat(filepath.Join(dir, "file")); return err },
	"open as a path and stat": func(dir string) error {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Fstat(fd, new(unix.Stat_t))
	},
}

// begin looks at a directory in all ways, and returns where the ends of the looks
// are announced.
func begin(dir string) map[string]chan error {
	ends := map[string]chan error{}
	for name, look := range looks {
		end := make(chan error, 1)
		ends[name] = end
		go func() { end <- look(dir) }()
	}
	return ends
}

// wantWaiting checks that none of the looks comes back.
func wantWaiting(t *testing.T, ends map[string]chan error) {
	t.Helper()
	time.Sleep(500 * time.Millisecond)
	for name, end := range ends {
		select {
		case err := <-end:
			t.Errorf("%s came back: %v", name, err)
		default:
		}
	}
}

// wantEnds checks that all of the looks come back soon.
func wantEnds(t *testing.T, ends map[string]chan error) map[string]error {
	t.Helper()
	errs := map[string]error{}
	late := time.After(5 * time.Second)
	for name, end := range ends {
		select {
		case errs[name] = <-end:
		case <-late:
			t.Fatalf("%s does not come back", name)
		}
	}
	return errs
}

func TestCover(t *testing.T) {
	plugin.RequireRoot(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := NewCover(t, dir)
	for range 2 {
		c.Hang(t)
		ends := begin(dir)
		wantWaiting(t, ends)
		c.Answer(t)
		for name, err := range wantEnds(t, ends) {
			if !errors.Is(err, unix.ECONNABORTED) && !errors.Is(err, unix.ENOTCONN) {
				t.Errorf("%s, let go of: %v", name, err)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "file")); err != nil {
			t.Errorf("what was covered: %v", err)
		}
	}
}

func TestDiskHangs(t *testing.T) {
	plugin.RequireRoot(t)
	d := Start(t)
	if err := os.WriteFile(filepath.Join(d.Path, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d.Hang(t)
		ends := begin(d.Path)
		wantWaiting(t, ends)
		d.Answer(t)
		for name, err := range wantEnds(t, ends) {
			if err != nil {
				t.Errorf("%s, answered late: %v", name, err)
			}
		}
		if err := os.Remove(filepath.Join(d.Path, "new")); err != nil {
			t.Error(err)
		}
	}
	// The test ends with a disk that hangs and calls that wait: both must go.
	d.Hang(t)
	begin(d.Path)
}

func TestDiskIsSlow(t *testing.T) {
	plugin.RequireRoot(t)
	d := Start(t)
	if err := os.WriteFile(filepath.Join(d.Path, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d.Slow(t, time.Second)
	began := time.Now()
	if err := unix.Statfs(d.Path, new(unix.Statfs_t)); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < time.Second || took > 2*time.Second {
		t.Errorf("a request that is answered after a second took %s", took)
	}
	d.Slow(t, time.Hour)
	ends := begin(d.Path)
	wantWaiting(t, ends)
	d.Answer(t)
	wantEnds(t, ends)
}

// TestDiskHangsInTheMiddle holds a call up at each of its requests.
func TestDiskHangsInTheMiddle(t *testing.T) {
	plugin.RequireRoot(t)
	d := Start(t)
	path := filepath.Join(d.Path, "file")
	write := func() error { return os.WriteFile(path, []byte("content"), 0o644) }
	var requests int
	for range 2 { // some requests the kernel makes once on a disk
		os.Remove(path)
		d.Answer(t)
		if err := write(); err != nil {
			t.Fatal(err)
		}
		requests = d.Requests(t)
	}
	if requests < 3 {
		t.Fatalf("a file was made, written and closed with %d requests: are they cached?", requests)
	}
	for answered := range requests {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		d.HangAfter(t, answered)
		ends := map[string]chan error{"write": make(chan error, 1)}
		go func() { ends["write"] <- write() }()
		wantWaiting(t, ends)
		d.Answer(t)
		if err := wantEnds(t, ends)["write"]; err != nil {
			t.Errorf("held up after %d requests: %v", answered, err)
		}
	}
}

// TestKilledWhileItWaits has a process end that waits for a disk.
func TestKilledWhileItWaits(t *testing.T) {
	plugin.RequireRoot(t)
	d, dir := Start(t), t.TempDir()
	c := NewCover(t, dir)
	c.Hang(t)
	d.Hang(t)
	for _, path := range []string{d.Path, dir} {
		cmd := exec.Command("stat", path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		wantWaiting(t, map[string]chan error{"stat": ended})
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := wantEnds(t, map[string]chan error{"stat": ended})["stat"]; err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("stat ended: %v", err)
		}
	}
}

// TestDiskIsAFilesystem does on a disk what hostdir does on its own.
func TestDiskIsAFilesystem(t *testing.T) {
	plugin.RequireRoot(t)
	d := Start(t)
	at := func(name string) string { return filepath.Join(d.Path, name) }
	check := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	check("mkdir", os.Mkdir(at("dir"), 0o700), nil)
	check("chmod", os.Chmod(at("dir"), 0o777|fs.ModeSetgid|fs.ModeSticky), nil)
	check("chown", os.Chown(at("dir"), 1000, 2000), nil)
	info, err := os.Stat(at("dir"))
	check("stat", err, nil)
	if want := fs.ModeDir | 0o777 | fs.ModeSetgid | fs.ModeSticky; err == nil && info.Mode() != want {
		t.Errorf("the directory is %v, want %v", info.Mode(), want)
	}
	check("symlink", os.Symlink("dir", at("link")), nil)
	target, err := os.Readlink(at("link"))
	check("readlink", err, nil)
	if target != "dir" {
		t.Errorf("the link shows %q", target)
	}
	check("mkdir", os.Mkdir(at("other"), 0o700), nil)
	check("rename over another", unix.Renameat2(unix.AT_FDCWD, at("other"), unix.AT_FDCWD, at("dir"), unix.RENAME_NOREPLACE), unix.EEXIST)
	check("rename", unix.Renameat2(unix.AT_FDCWD, at("other"), unix.AT_FDCWD, at("third"), unix.RENAME_NOREPLACE), nil)
	check("exchange", unix.Renameat2(unix.AT_FDCWD, at("third"), unix.AT_FDCWD, at("dir"), unix.RENAME_EXCHANGE), nil)

	f, err := os.Create(at("third/file"))
	check("create", err, nil)
	_, err = f.WriteString("content")
	check("write", err, nil)
	check("sync", f.Sync(), nil)
	check("close", f.Close(), nil)
	dir, err := os.Open(at("third"))
	check("open", err, nil)
	check("sync a directory", dir.Sync(), nil)
	check("move an open directory", os.Rename(at("third"), at("fourth")), nil)
	names, err := dir.Readdirnames(-1)
	check("read it", err, nil)
	if len(names) != 1 || names[0] != "file" {
		t.Errorf("it holds %q", names)
	}
	dir.Close()
	content, err := os.ReadFile(filepath.Join(d.Backing, "fourth", "file"))
	check("read behind it", err, nil)
	if string(content) != "content" {
		t.Errorf("behind it is %q", content)
	}
	var here, behind unix.Statfs_t
	check("statfs", unix.Statfs(d.Path, &here), nil)
	check("statfs", unix.Statfs(d.Backing, &behind), nil)
	if here.Blocks == 0 || here.Blocks != behind.Blocks {
		t.Errorf("the disk has %d blocks, what is behind it %d", here.Blocks, behind.Blocks)
	}
	check("remove", os.RemoveAll(at("fourth")), nil)
	_, err = os.Stat(at("fourth"))
	check("stat", err, fs.ErrNotExist)
}
