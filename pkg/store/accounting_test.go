package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

func TestLimitedAccounting(t *testing.T) {
	onLimited(t, func(t *testing.T, base string) { accountFor(t, base) })
}

func TestAdvisoryAccounting(t *testing.T) {
	t.Parallel()
	plugin.RequireRoot(t)
	accountFor(t, disk.Mount(t, "ext4", 256*mebibyte))
}

// accountFor does what volumes and others do to a filesystem, at random, and
// after each step holds the store to its policy: what is allocated is never more
// than what the filesystem has for volumes, less the reserve, times the
// overcommit.
func accountFor(t *testing.T, base string) {
	const (
		steps   = 40
		reserve = 10 * mebibyte
	)
	for _, overcommit := range []float64{1, 1.5} {
		t.Run(fmt.Sprintf("overcommit %v", overcommit), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			a := accounting{t: t, r: rand.New(rand.NewPCG(seed, 0)), foreign: filepath.Dir(base)}
			pool := filepath.Join(base, fmt.Sprintf("pool-%v", overcommit))
			a.foreign = filepath.Join(base, fmt.Sprintf("foreign-%v", overcommit))
			mkdirAll(t, pool)
			mkdirAll(t, a.foreign)
			a.s = openStore(t, fmt.Sprintf("pools: [{name: default, paths: [%q], reserve: 10Mi, overcommit: %v}]", pool, overcommit))
			for range steps {
				a.step()
				a.takeStock(a.s)
				a.check(reserve, overcommit)
			}
			again := reopen(t, a.s)
			a.takeStock(again)
			was, is := a.s.Capacity(defaultClass), again.Capacity(defaultClass)
			if diff := was.AvailableBytes - is.AvailableBytes; max(diff, -diff) > mebibyte {
				t.Errorf("a new process sees a capacity of %+v, the old one saw %+v", is, was)
			}
			for _, v := range a.s.Volumes() {
				mustDelete(t, a.s, v.ID)
			}
			a.s.purgeAll(t.Context())
			if err := os.RemoveAll(a.foreign); err != nil {
				t.Fatal(err)
			}
		})
	}
}

type accounting struct {
	t       *testing.T
	r       *rand.Rand
	s       *Store
	foreign string // a directory of files that are not hostdir's
	made    int
}

// size is a random one that makes a difference.
func (a *accounting) size() int64 { return mebibyte * (1 + a.r.Int64N(48)) }

func (a *accounting) step() {
	a.t.Helper()
	volumes := a.s.Volumes()
	if len(volumes) == 0 || a.r.IntN(3) == 0 {
		a.made++
		req := request(fmt.Sprintf("pvc-%d", a.made))
		req.RequiredBytes = a.size()
		_, err := a.s.Create(a.t.Context(), req)
		a.allow(err, errdefs.ErrNoSpace)
		return
	}
	v := volumes[a.r.IntN(len(volumes))]
	switch a.r.IntN(5) {
	case 0:
		mustDelete(a.t, a.s, v.ID)
		a.s.purgeAll(a.t.Context())
	case 1:
		_, err := a.s.Expand(a.t.Context(), v.ID, v.CapacityBytes+a.size(), 0)
		a.allow(err, errdefs.ErrNoSpace)
	case 2:
		a.write(filepath.Join(v.Path, "file"), a.r.Int64N(v.CapacityBytes))
	case 3:
		a.write(filepath.Join(a.foreign, fmt.Sprint(a.r.IntN(3))), a.size()/4)
	case 4:
		a.allow(os.RemoveAll(filepath.Join(v.Path, "file")))
	}
}

func (a *accounting) allow(err error, classes ...error) {
	a.t.Helper()
	for _, class := range classes {
		if errors.Is(err, class) {
			return
		}
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// write makes a file of this size, or as much as the filesystem takes.
func (a *accounting) write(path string, size int64) {
	a.t.Helper()
	f, err := os.Create(path)
	if err != nil {
		a.allow(err, unix.ENOSPC, unix.EDQUOT)
		return
	}
	defer f.Close()
	_, err = f.Write(make([]byte, size))
	a.allow(err, unix.ENOSPC, unix.EDQUOT)
	a.allow(f.Sync(), unix.ENOSPC, unix.EDQUOT)
}

// takeStock lets a store count everything afresh, as time would.
func (a *accounting) takeStock(s *Store) {
	a.t.Helper()
	b := only(a.t, s)
	d := b.mustOpen(a.t)
	if err := unix.Syncfs(d.root.FD()); err != nil {
		a.t.Fatal(err)
	}
	b.walk(a.t.Context())
	s.count(a.t.Context(), b)
}

func (a *accounting) check(reserve int64, overcommit float64) {
	a.t.Helper()
	b := only(a.t, a.s)
	room, err := b.mustOpen(a.t).root.Space()
	if err != nil {
		a.t.Fatal(err)
	}
	var allocated, used int64
	for _, v := range a.s.Volumes() {
		allocated += v.CapacityBytes
		used += v.Usage.Bytes
	}
	others := room.Size - room.Free - used
	available := a.s.Capacity(defaultClass).AvailableBytes
	allowed := int64(overcommit * float64(max(0, room.Size-others-reserve)))
	if available < 0 || available > 0 && available+allocated > allowed+mebibyte { // metadata moves
		a.t.Fatalf("%d bytes are allocated and %d more offered, where the policy allows %d (size %d, free %d, in volumes %d)",
			allocated, available, allowed, room.Size, room.Free, used)
	}
	// Nothing is held back without need either: it was counted just now.
	limits, _ := b.limiter()
	if available == 0 && allowed-allocated > mebibyte && room.Free > reserve+mebibyte && limits.Kind() != quota.None {
		a.t.Fatalf("nothing is offered, where %d of %d are allocated", allocated, allowed)
	}
}

// TestOneFilesystemIsCountedOnce puts two disks on one filesystem:
// they share its room and each other's promises.
func TestOneFilesystemIsCountedOnce(t *testing.T) {
	mounted := mountTmpfs(t, "size=64m")
	first, second := filepath.Join(mounted, "first"), filepath.Join(mounted, "second")
	mkdirAll(t, first)
	mkdirAll(t, second)
	s := openStore(t, onePool(first, second))
	wantAbout(t, "capacity", s.Capacity(defaultClass).AvailableBytes, 64*mebibyte)

	req := request("pvc-1")
	req.RequiredBytes = 40 * mebibyte
	mustCreate(t, s, req)
	c := s.Capacity(defaultClass)
	wantAbout(t, "what is left", c.AvailableBytes, 24*mebibyte)
	wantAbout(t, "the largest volume", c.MaximumVolumeBytes, 24*mebibyte)
	req = request("pvc-2")
	req.RequiredBytes = 40 * mebibyte
	_, err := s.Create(t.Context(), req)
	wantClass(t, err, errdefs.ErrNoSpace)
}

// TestParallelPromises lets a thousand callers want what is there for some two
// hundred.
func TestParallelPromises(t *testing.T) {
	t.Parallel()
	const callers, size = 1000, 256 * mebibyte
	s := openStore(t, onePool(mountTmpfs(t, fmt.Sprintf("size=%d", size))))
	before := s.Capacity(defaultClass).AvailableBytes
	var made atomic.Int64
	var wg sync.WaitGroup
	atOnce := make(chan struct{}, 100) // as many as the provisioner has workers
	for i := range callers {
		wg.Go(func() {
			atOnce <- struct{}{}
			defer func() { <-atOnce }()
			_, err := s.Create(t.Context(), request(fmt.Sprintf("pvc-%d", i)))
			switch {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, errdefs.ErrNoSpace):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	allocated := made.Load() * mebibyte // each asks for one
	if allocated > before || allocated < before*9/10 {
		t.Errorf("%d bytes are allocated, where there was room for %d", allocated, before)
	}
	if c := s.Capacity(defaultClass); c.AvailableBytes > before-allocated {
		t.Errorf("%d bytes are offered, where %d of %d are allocated", c.AvailableBytes, allocated, before)
	}
}
