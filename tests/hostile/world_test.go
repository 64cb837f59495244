package hostile

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

const mebibyte = 1 << 20

var long = flag.Bool("long", false, "let each race last a minute")

// lasting is how long each race lasts.
func lasting() time.Duration {
	if *long {
		return time.Minute
	}
	return time.Second
}

// world is a running plugin, with a pool on a disk that holds other things too,
// and canaries all around it.
type world struct {
	*plugin.Plugin
	plugin.Client
	*canaries

	t   *testing.T // as long as which the plugin runs
	ctx context.Context
	// outside is beside the pool on its filesystem, elsewhere on another one.
	outside, elsewhere string
	// own is a second volume of the tenant.
	own string

	volumes int // how many were made, for their names
}

// newWorld makes a world on a disk of its own.
func newWorld(t *testing.T, mounted string) *world {
	t.Helper()
	base := filepath.Join(mounted, "pool")
	w := &world{
		Plugin:    plugin.Layout(t, base),
		t:         t,
		ctx:       t.Context(),
		outside:   filepath.Join(mounted, "outside"),
		elsewhere: filepath.Join(t.TempDir(), "elsewhere"),
	}
	pod := filepath.Join(w.KubeletDir, "pods", "other")
	for _, dir := range []string{w.outside, w.elsewhere, pod} {
		putCanary(t, dir)
	}
	// Before the directories are removed, and after the plugin has stopped.
	t.Cleanup(func() {
		disk.UnmountBelow(t, w.KubeletDir)
		disk.UnmountBelow(t, mounted)
	})
	w.Run(t)
	w.Client = plugin.NewClient(w.Conn)
	w.own = w.create(t)
	neighbour := w.create(t)
	putCanary(t, filepath.Join(w.data(neighbour), "kept"))
	putCanary(t, filepath.Join(w.data(w.own), "kept"))
	w.canaries = keep(t,
		[]string{w.outside, w.elsewhere, pod},
		[]string{filepath.Join(base, "disk.json"), w.VolumeDir(neighbour),
			filepath.Join(w.VolumeDir(w.own), "volume.json"), filepath.Join(w.data(w.own), "kept"), w.Config})
	w.suspect(w.PID())
	return w
}

// restart ends the program and runs it again.
func (w *world) restart(t *testing.T) {
	t.Helper()
	w.Signal(t, syscall.SIGTERM)
	w.Run(w.t)
	w.suspect(w.PID())
	w.Client = plugin.NewClient(w.Conn)
}

func (w *world) create(t *testing.T) (volumeID string) {
	t.Helper()
	w.volumes++
	id, err := w.Create(w.ctx, fmt.Sprintf("pvc-%d", w.volumes), mebibyte)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (w *world) data(volumeID string) string { return filepath.Join(w.VolumeDir(volumeID), "data") }

func (w *world) target(name string) string { return filepath.Join(w.KubeletDir, "pods", name) }

// tenant is who has a volume, and keeps it open whatever becomes of it.
type tenant struct {
	*world
	// volume and data are the directories of the volume, own the data of
	// another one.
	volume, data, own *os.File
}

func (w *world) tenant(t *testing.T, volumeID string) *tenant {
	t.Helper()
	open := func(path string) *os.File {
		t.Helper()
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	return &tenant{w, open(w.VolumeDir(volumeID)), open(w.data(volumeID)), open(w.data(w.own))}
}

func (v *tenant) close() {
	v.volume.Close()
	v.data.Close()
	v.own.Close()
}

// at is a path that leads to an entry of a directory, wherever that is now.
func at(dir *os.File, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
}

// during lets the tenant make mischief, from two threads, while do runs. It
// returns how many steps were made.
func (m mischief) during(v *tenant, do func()) (steps int64) {
	var stop atomic.Bool
	var count atomic.Int64
	var wg sync.WaitGroup
	for thread := range 2 {
		wg.Go(func() {
			for i := thread; !stop.Load(); i += 2 {
				m.step(v, i)
				count.Add(1)
			}
		})
	}
	func() {
		defer wg.Wait()
		defer stop.Store(true)
		do()
	}()
	return count.Load()
}

// waitPurged waits until all that is in the trash has left it, once what tenants
// have mounted there is gone. Each deletion wakes the purge; btrfs takes its time
// with removed subvolumes.
func (w *world) waitPurged(t *testing.T) {
	t.Helper()
	disk.UnmountBelow(t, filepath.Join(w.Base, "trash"))
	// An entry's UUID is the same before and after it is marked.
	entries := func() (uuids []string) {
		for _, name := range plugin.Trash(t, w.Base) {
			uuids = append(uuids, name[strings.LastIndex(name, ".")+1:])
		}
		return uuids
	}
	waiting := entries()
	for range 60 {
		w.wakePurge(t)
		for range 20 {
			left := entries()
			waiting = slices.DeleteFunc(waiting, func(uuid string) bool { return !slices.Contains(left, uuid) })
			if len(waiting) == 0 {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	t.Fatalf("the trash still holds %q", waiting)
}

// wakePurge deletes a volume, if what is in the trash leaves room for one.
func (w *world) wakePurge(t *testing.T) {
	t.Helper()
	w.volumes++
	id, err := w.Create(w.ctx, fmt.Sprintf("pvc-%d", w.volumes), mebibyte)
	plugin.WantCode(t, "create", err, codes.OK, codes.ResourceExhausted)
	if err == nil {
		plugin.WantCode(t, "delete", w.Delete(w.ctx, id), codes.OK)
	}
}

// makeRoom waits for the purge if tenants have taken half of what the disk can hold.
func (w *world) makeRoom(t *testing.T) {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(w.Base, &s); err != nil {
		t.Fatal(err)
	}
	if s.Ffree < s.Files/2 || s.Bfree < s.Blocks/2 {
		w.waitPurged(t)
	}
}

// isGone reports whether a directory that is open was removed.
func isGone(dir *os.File) bool {
	var s unix.Stat_t
	return unix.Fstat(int(dir.Fd()), &s) == nil && s.Nlink == 0
}
