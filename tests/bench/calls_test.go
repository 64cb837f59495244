package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/hostdir/hostdir/tests/peers/report"
	"github.com/hostdir/hostdir/tests/plugin"
)

const volumeBytes = 1 << 20

// A life does what a volume sees from its creation to its deletion, one step after the
// other. hostdir does it as CSI calls on its socket, and bare system calls do what
// cannot be left out of each.
type life struct {
	call string
	// before prepares what the call is for, and is not timed.
	before, hostdir, bare func(ctx context.Context, name string) error
}

// TestReportCalls measures each call of CSI beside the bare system calls, in turn, among
// few volumes and among many, and what the program takes to start and to know them all.
func TestReportCalls(t *testing.T) {
	reporting(t)
	const lives, starts = 100, 5
	p, beside := onXFS(t, 64<<30)
	p.Run(t)
	h := &calls{Plugin: p, Client: plugin.NewClient(p.Conn), ids: map[string]string{}, snapshots: map[string]string{}}
	b := newBareCalls(t, beside)
	var values []report.Value
	values = append(values, memory(t, p, 0)...)
	for _, n := range []int{10, 1000, 10_000} {
		fill(t, h, b, n)
		took := map[string][2][]time.Duration{}
		steps := steps(h, b)
		for i := range lives {
			name := fmt.Sprintf("life-%d-%d", n, i)
			for _, s := range steps {
				if s.before != nil {
					timed(t, s.call, func() error { return s.before(t.Context(), name) })
				}
				both := took[s.call]
				for turn := range 2 { // each is first as often as the other
					side := (turn + i) % 2
					f := [](func(context.Context, string) error){s.hostdir, s.bare}[side]
					if f != nil {
						both[side] = append(both[side], timed(t, s.call, func() error { return f(t.Context(), name) }))
					}
				}
				took[s.call] = both
			}
		}
		for _, s := range steps {
			for side, name := range []string{hostdir, bare} {
				if runs := took[s.call][side]; len(runs) > 0 {
					values = append(values, report.Seconds(s.call, name, n, runs...))
				}
			}
		}
	}

	var served, known, listed []time.Duration
	for range starts {
		p.Signal(t, syscall.SIGTERM)
		began := time.Now()
		p.Launch(t)
		h.Client = plugin.NewClient(p.Conn)
		answers(t, p)
		served = append(served, time.Since(began))
		for all := 0; all < 10_000; {
			var err error
			if all, err = h.list(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		known = append(known, time.Since(began))
		listed = append(listed, timed(t, "read all records", func() error { return b.list(t.Context(), "") }))
	}
	values = append(values,
		report.Seconds("start, until the socket answers", hostdir, 10_000, served...),
		report.Seconds("start, until all volumes are known", hostdir, 10_000, known...),
		report.Seconds("start, until all volumes are known", bare, 10_000, listed...))
	time.Sleep(150 * time.Second) // Go collects at least each two minutes, and then gives back what the start took
	values = append(values, memory(t, p, 10_000)...)
	add(t, "calls", values)
}

// answers waits until the program answers on its socket.
func answers(t *testing.T, p *plugin.Plugin) {
	t.Helper()
	identity := csi.NewIdentityClient(p.Conn)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Lstat(p.Socket); err == nil {
			if _, err := identity.GetPluginInfo(t.Context(), &csi.GetPluginInfoRequest{}, grpc.WaitForReady(true)); err == nil {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("hostdir does not answer on its socket; its log follows")
		}
	}
}

// fill makes volumes, and the bare directories that they are compared with, until there
// are so many.
func fill(t *testing.T, h *calls, b *bareCalls, n int) {
	t.Helper()
	had := len(h.ids)
	names := make(chan string)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for name := range names {
				if err := errors.Join(b.create(t.Context(), name), h.create(t.Context(), name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := had; i < n; i++ {
		names <- fmt.Sprintf("old-%d", i)
	}
	close(names)
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func steps(h *calls, b *bareCalls) []life {
	return []life{
		{"GetPluginInfo", nil, h.info, nil},
		{"CreateVolume", nil, h.create, b.create},
		{"NodePublishVolume", func(_ context.Context, name string) error {
			return errors.Join(os.MkdirAll(filepath.Dir(h.target(name)), 0o750), os.MkdirAll(filepath.Dir(b.target(name)), 0o750))
		}, h.publish, b.publish},
		{"NodeGetVolumeStats", nil, h.stats, b.stats},
		{"NodeExpandVolume", nil, h.expand, b.expand},
		{"CreateSnapshot", func(ctx context.Context, name string) error {
			return errors.Join(h.write(ctx, name), b.write(ctx, name))
		}, h.snapshot, b.snapshot},
		{"DeleteSnapshot", nil, h.deleteSnapshot, b.deleteSnapshot},
		{"NodeUnpublishVolume", nil, h.unpublish, b.unpublish},
		{"DeleteVolume", nil, h.delete, b.delete},
		{"GetCapacity", nil, h.capacity, b.capacity},
		{"ListVolumes", nil, h.all, b.list},
	}
}

// calls are those of CSI, on the socket of a running program.
type calls struct {
	*plugin.Plugin
	plugin.Client
	mu             sync.Mutex
	ids, snapshots map[string]string // by the volume's name
}

func (c *calls) id(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ids[name]
}

func (c *calls) target(name string) string {
	return filepath.Join(c.KubeletDir, "pods", name, "volumes/kubernetes.io~csi", name, "mount")
}

func (c *calls) info(ctx context.Context, _ string) error {
	_, err := csi.NewIdentityClient(c.Conn).GetPluginInfo(ctx, &csi.GetPluginInfoRequest{})
	return err
}

func (c *calls) create(ctx context.Context, name string) error {
	id, err := c.Create(ctx, name, volumeBytes)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids[name] = id
	return err
}

func (c *calls) publish(ctx context.Context, name string) error {
	return c.Publish(ctx, c.id(name), c.target(name))
}

func (c *calls) stats(ctx context.Context, name string) error {
	_, err := c.Stats(ctx, c.id(name), c.target(name))
	return err
}

func (c *calls) expand(ctx context.Context, name string) error {
	return c.Expand(ctx, c.id(name), c.target(name), 2*volumeBytes)
}

func (c *calls) write(_ context.Context, name string) error {
	return writeSynced(filepath.Join(c.target(name), "data"), make([]byte, volumeBytes))
}

func (c *calls) snapshot(ctx context.Context, name string) error {
	resp, err := c.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: "of-" + name, SourceVolumeId: c.id(name)})
	if err == nil && !resp.GetSnapshot().GetReadyToUse() {
		err = errors.New("a snapshot of 1 MiB is not ready at once")
	}
	c.snapshots[name] = resp.GetSnapshot().GetSnapshotId()
	return err
}

func (c *calls) deleteSnapshot(ctx context.Context, name string) error {
	_, err := c.DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{SnapshotId: c.snapshots[name]})
	return err
}

func (c *calls) unpublish(ctx context.Context, name string) error {
	return c.Unpublish(ctx, c.id(name), c.target(name))
}

func (c *calls) delete(ctx context.Context, name string) error {
	err := c.Delete(ctx, c.id(name))
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ids, name)
	return err
}

func (c *calls) capacity(ctx context.Context, _ string) error {
	resp, err := c.GetCapacity(ctx, &csi.GetCapacityRequest{})
	if err == nil && resp.GetAvailableCapacity() == 0 {
		err = errors.New("no room")
	}
	return err
}

// list returns how many volumes there are.
func (c *calls) list(ctx context.Context) (n int, err error) {
	for token := ""; ; {
		resp, err := c.ListVolumes(ctx, &csi.ListVolumesRequest{StartingToken: token}, grpc.MaxCallRecvMsgSize(64<<20))
		n += len(resp.GetEntries())
		if token = resp.GetNextToken(); err != nil || token == "" {
			return n, err
		}
	}
}

func (c *calls) all(ctx context.Context, _ string) error {
	n, err := c.list(ctx)
	if err == nil && n != len(c.ids) {
		err = fmt.Errorf("%d volumes are listed, there are %d", n, len(c.ids))
	}
	return err
}

// bareCalls are what each call of CSI cannot do without, as system calls.
type bareCalls struct {
	volumes, trash, snapshots *os.File
	pods                      string
}

func newBareCalls(t *testing.T, dir string) *bareCalls {
	t.Helper()
	open := func(name string) *os.File {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	return &bareCalls{open("volumes"), open("trash"), open("snapshots"), filepath.Join(dir, "pods")}
}

func (b *bareCalls) volume(name string) string { return filepath.Join(b.volumes.Name(), name) }
func (b *bareCalls) target(name string) string { return filepath.Join(b.pods, name, "mount") }

func (b *bareCalls) create(_ context.Context, name string) error {
	return createDurably(b.volumes, name)
}

func (b *bareCalls) publish(_ context.Context, name string) error {
	target := b.target(name)
	if err := os.Mkdir(target, 0o750); err != nil {
		return err
	}
	if err := unix.Mount(b.volume(name), target, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, "")
}

func (b *bareCalls) stats(_ context.Context, name string) error {
	var st unix.Statfs_t
	return unix.Statfs(b.target(name), &st)
}

func (b *bareCalls) expand(_ context.Context, name string) error {
	record := filepath.Join(b.volume(name), "record")
	if err := writeSynced(record+".new", make([]byte, 512)); err != nil {
		return err
	}
	if err := os.Rename(record+".new", record); err != nil {
		return err
	}
	return syncDir(b.volume(name))
}

func (b *bareCalls) write(_ context.Context, name string) error {
	return writeSynced(filepath.Join(b.target(name), "data"), make([]byte, volumeBytes))
}

func (b *bareCalls) snapshot(_ context.Context, name string) error {
	building := filepath.Join(b.snapshots.Name(), ".new-"+name)
	if err := os.Mkdir(building, 0o700); err != nil {
		return err
	}
	from, err := os.Open(filepath.Join(b.volume(name), "data"))
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(filepath.Join(building, "data"))
	if err != nil {
		return err
	}
	defer to.Close()
	if err := unix.IoctlFileClone(int(to.Fd()), int(from.Fd())); err != nil {
		return err
	}
	if err := to.Sync(); err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(building, "record"), make([]byte, 512)); err != nil {
		return err
	}
	if err := os.Rename(building, filepath.Join(b.snapshots.Name(), name)); err != nil {
		return err
	}
	return b.snapshots.Sync()
}

func (b *bareCalls) deleteSnapshot(_ context.Context, name string) error {
	return b.discard(b.snapshots, name)
}

func (b *bareCalls) unpublish(_ context.Context, name string) error {
	if err := unix.Unmount(b.target(name), 0); err != nil {
		return err
	}
	return os.Remove(b.target(name))
}

func (b *bareCalls) delete(_ context.Context, name string) error { return b.discard(b.volumes, name) }

// discard moves what is to be removed out of the way. What hostdir removes in the
// background stays here.
func (b *bareCalls) discard(from *os.File, name string) error {
	to := filepath.Join(b.trash.Name(), filepath.Base(from.Name())+"-"+name)
	if err := os.Rename(filepath.Join(from.Name(), name), to); err != nil {
		return err
	}
	return errors.Join(from.Sync(), b.trash.Sync())
}

func (b *bareCalls) capacity(context.Context, string) error {
	var st unix.Statfs_t
	return unix.Statfs(b.volumes.Name(), &st)
}

// list reads all records, which hostdir has in memory.
func (b *bareCalls) list(context.Context, string) error {
	names, err := os.ReadDir(b.volumes.Name())
	for _, name := range names {
		if _, err := os.ReadFile(filepath.Join(b.volume(name.Name()), "record")); err != nil {
			return err
		}
	}
	return err
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// memory is what the program takes, among so many volumes.
func memory(t *testing.T, p *plugin.Plugin, n int) []report.Value {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	var values []report.Value
	for _, m := range []struct{ field, what string }{{"VmRSS:", "memory"}, {"RssAnon:", "memory that is no file"}} {
		_, rest, _ := strings.Cut(string(status), m.field)
		var kB float64
		if _, err := fmt.Sscan(rest, &kB); err != nil {
			t.Fatalf("no %s of the program: %v", m.field, err)
		}
		values = append(values, report.Of(m.what, hostdir, n, "MB", kB*1024/1e6))
	}
	return values
}
