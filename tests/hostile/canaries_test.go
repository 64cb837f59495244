package hostile

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// canaries are files and directories that are none of hostdir's business. What
// they are is compared after every round, and the kernel reports who opens them.
type canaries struct {
	// watched and compared are directories, or single files. hostdir may open
	// those that are only compared.
	watched, compared []string

	before map[string]string
	events *os.File // of fanotify(7)

	mu      sync.Mutex // guards all below
	plugins map[int]bool
	touched []string
}

// touches are what nobody but the test may do to a canary that is watched. To
// look at its attributes, as stat(2) does, is none.
const touches = unix.FAN_OPEN | unix.FAN_ACCESS | unix.FAN_MODIFY | unix.FAN_CLOSE_WRITE | unix.FAN_ONDIR

// keep compares and watches canaries until the test ends.
func keep(t *testing.T, watched, compared []string) *canaries {
	t.Helper()
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK|unix.FAN_UNLIMITED_QUEUE|unix.FAN_UNLIMITED_MARKS,
		unix.O_RDONLY|unix.O_NONBLOCK|unix.O_LARGEFILE|unix.O_CLOEXEC)
	if err != nil {
		t.Fatalf("fanotify_init: %v", err)
	}
	c := &canaries{watched: watched, compared: compared, events: os.NewFile(uintptr(fd), "fanotify"), plugins: map[int]bool{}}
	for path := range c.look(t, watched) {
		if err := unix.FanotifyMark(fd, unix.FAN_MARK_ADD|unix.FAN_MARK_DONT_FOLLOW, touches, unix.AT_FDCWD, path); err != nil {
			t.Fatalf("fanotify_mark %s: %v", path, err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.read()
	}()
	t.Cleanup(func() {
		c.events.Close()
		<-done
	})
	c.before = c.look(t, slices.Concat(watched, compared))
	return c
}

// suspect is a process that must leave the canaries alone.
func (c *canaries) suspect(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plugins[pid] = true
}

// read notes what the kernel reports until the group is closed.
func (c *canaries) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.events.Read(buf)
		if err != nil {
			return
		}
		for rest := buf[:n]; len(rest) >= int(unsafe.Sizeof(unix.FanotifyEventMetadata{})); {
			event := (*unix.FanotifyEventMetadata)(unsafe.Pointer(&rest[0]))
			rest = rest[event.Event_len:]
			c.note(event)
		}
	}
}

func (c *canaries) note(event *unix.FanotifyEventMetadata) {
	if event.Fd < 0 {
		return
	}
	defer unix.Close(int(event.Fd))
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.plugins[int(event.Pid)] {
		return
	}
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", event.Fd))
	if err != nil {
		path = err.Error()
	}
	did := ""
	for mask, what := range map[uint64]string{unix.FAN_OPEN: " opened", unix.FAN_ACCESS: " read", unix.FAN_MODIFY: " written", unix.FAN_CLOSE_WRITE: " closed after writing"} {
		if event.Mask&mask != 0 {
			did += what
		}
	}
	if said := path + did; !slices.Contains(c.touched, said) {
		c.touched = append(c.touched, said)
	}
}

// look returns what each canary is: type, mode, owner, size, time of change of
// content, file and content.
func (c *canaries) look(t *testing.T, roots []string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			content := ""
			switch {
			case info.Mode().IsRegular():
				data, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				content = fmt.Sprintf("%x", sha256.Sum256(data))
			case info.Mode()&fs.ModeSymlink != 0:
				if content, err = os.Readlink(path); err != nil {
					return err
				}
			}
			s := info.Sys().(*syscall.Stat_t)
			all[path] = fmt.Sprintf("%s %d:%d %d bytes, changed %s, file %d on %d, rdev %d, %q", info.Mode(), s.Uid, s.Gid, s.Size,
				info.ModTime().Format(time.RFC3339Nano), s.Ino, s.Dev, s.Rdev, content)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// wantUnharmed checks that every canary is what it was and that hostdir has
// opened none.
func (c *canaries) wantUnharmed(t *testing.T) {
	t.Helper()
	if diff := cmp.Diff(c.before, c.look(t, slices.Concat(c.watched, c.compared))); diff != "" {
		t.Fatalf("something outside of the volume has changed (-before +after):\n%s", diff)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.touched) > 0 {
		t.Fatalf("hostdir has touched what is outside of the volume: %q", c.touched)
	}
}

// putCanary makes a small tree of canaries: files with content, modes and
// owners that are easily lost, a directory, a link.
func putCanary(t *testing.T, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, below := range []string{"directory/empty", "trap/target", "trap/volume/target"} {
		must(os.MkdirAll(filepath.Join(dir, below), 0o750))
	}
	for name, mode := range map[string]fs.FileMode{"file": 0o640, "secret": 0o400, "directory/setuid": 0o755 | fs.ModeSetuid, "directory/file": 0o666} {
		path := filepath.Join(dir, name)
		must(os.WriteFile(path, []byte("not the tenant's: "+path), 0o600))
		must(os.Chown(path, 1234, 4321))
		must(os.Chmod(path, mode))
		must(os.Chtimes(path, time.Time{}, time.Date(2020, 2, 29, 12, 0, 0, 123456789, time.UTC)))
	}
	must(os.Symlink("directory/file", filepath.Join(dir, "link")))
	must(unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
}
