// Package quotatest holds every kind of quota to what package quota promises, on
// a real filesystem.
package quotatest

import (
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/quota"
)

// Run tests the filesystem that is mounted at dir, whose limits are of this
// kind. It needs root, some 100 MiB there, and unmounts and mounts it again.
func Run(t *testing.T, dir string, want quota.Kind) {
	s := &suite{dir: dir}
	s.detect(t, want)
	t.Run("refuses bad values", s.refusesBadValues)
	t.Run("stops at the limit and not the neighbour", s.stopsAtLimit)
	t.Run("grows under a writer", s.growsUnderWriter)
	t.Run("keeps a limit below what is used", s.shrinks)
	t.Run("counts what was written", s.counts)
	t.Run("limits inodes", s.limitsInodes)
	t.Run("restores limits that were changed", s.restores)
	t.Run("survives a remount", s.survivesRemount)
	t.Run("gives IDs back", s.givesBack)
	t.Run("takes many at once", s.takesMany)
}

type suite struct {
	dir string
	q   quota.Quota
}

const mib = 1 << 20

// lastID is where project IDs come from.
var lastID atomic.Uint64

// detect finds out the kind again. Detect leaves nothing behind, neither of its
// own nor of one that crashed.
func (s *suite) detect(t *testing.T, want quota.Kind) {
	t.Helper()
	probe := s.dir + "/.new-quota-probe"
	if want != quota.Btrfs { // which needs none
		if err := os.Mkdir(probe, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.Open(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	s.q, err = quota.Detect(dir)
	if err != nil || s.q.Kind() != want {
		t.Fatalf("Detect() = %s, %v; want %s", quota.KindOf(s.q), err, want)
	}
	if kind, err := quota.Enabled(dir); kind != want || err != nil {
		t.Errorf("Enabled() = %s, %v; want %s", kind, err, want)
	}
	if _, err := os.Stat(probe); err == nil {
		t.Errorf("Detect left %s", probe)
	}
}

func (s *suite) open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// volume is a directory that an ordinary user may write to.
type volume struct {
	*os.File
	id quota.ID
}

// create makes and limits a directory that is removed when the test ends.
func (s *suite) create(t *testing.T, name string, limit quota.Limit) volume {
	t.Helper()
	parent := s.open(t, s.dir)
	defer parent.Close()
	requested := quota.ID(1000 + lastID.Add(1))
	if used, err := s.q.Used(parent, requested); used || err != nil {
		t.Fatalf("Used(%d) = %t, %v before it is used", requested, used, err)
	}
	id, err := s.q.Create(parent, name, requested)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(s.dir + "/" + name); err != nil {
			t.Error(err)
		}
	})
	v := volume{s.open(t, s.dir+"/"+name), id}
	if info, err := v.Stat(); err != nil || info.Mode() != os.ModeDir|0o700 {
		t.Errorf("Create made %v, %v; want a directory of mode 0700", info.Mode(), err)
	}
	s.set(t, v, limit)
	if err := v.Chmod(0o777); err != nil {
		t.Fatal(err)
	}
	return v
}

func (s *suite) set(t *testing.T, v volume, limit quota.Limit) {
	t.Helper()
	if err := s.q.Set(v.File, v.id, limit); err != nil {
		t.Fatalf("Set(%d, %+v): %v", v.id, limit, err)
	}
}

// get gets after all that was written is counted.
func (s *suite) get(t *testing.T, v volume) (quota.Limit, quota.Usage) {
	t.Helper()
	s.sync(t, v.File)
	limit, usage, err := s.q.Get(v.File, v.id)
	if err != nil {
		t.Fatalf("Get(%d): %v", v.id, err)
	}
	return limit, usage
}

// sync has everything written and counted. On btrfs it also wakes up the thread
// that clears removed subvolumes away, which would take half a minute.
func (s *suite) sync(t *testing.T, f *os.File) {
	t.Helper()
	var err error
	if s.q.Kind() == quota.Btrfs {
		err = unix.IoctlSetInt(int(f.Fd()), 0x9408 /* BTRFS_IOC_SYNC */, 0)
	} else {
		err = unix.Syncfs(int(f.Fd()))
	}
	if err != nil {
		t.Fatalf("sync %s: %v", f.Name(), err)
	}
}

// file makes a file of the volume's.
func (s *suite) file(t *testing.T, v volume, name string) *os.File {
	t.Helper()
	f, err := openat(v.File, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// eventually waits for what filesystems do in the background.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
