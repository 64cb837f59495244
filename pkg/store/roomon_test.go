package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestRoom holds capacity to the truth on filesystems that are nearly empty, half
// full and nearly full. All the time something writes to a volume, and removes what
// it wrote.
func TestRoom(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	for filesystem, mount := range map[string]func(testing.TB) string{
		"ext4":  func(t testing.TB) string { return disk.Mount(t, "ext4", 512*mebibyte) },
		"xfs":   func(t testing.TB) string { return disk.Mount(t, "xfs", 512*mebibyte) },
		"btrfs": func(t testing.TB) string { return disk.MountLimited(t, 1<<30) },
	} {
		for _, percent := range []int64{10, 50, 90} {
			t.Run(fmt.Sprintf("%s %d%%", filesystem, percent), func(t *testing.T) {
				t.Parallel()
				mounted := mount(t)
				base := filepath.Join(mounted, "disk")
				mkdirAll(t, base)
				seed := rand.Uint64()
				r := roomOn{T: t, r: rand.New(rand.NewPCG(seed, 0)), mounted: mounted, slack: 8 * mebibyte}
				if filesystem == "btrfs" {
					r.slack = 48 * mebibyte // it sets room aside for its trees as it goes
				}
				t.Logf("seed %d", seed)
				size, _ := r.statfs()
				r.others(size * percent / 100)
				r.s = keeping(t, base, "trashTTL: 24h, minTrashTTL: 1h")
				r.run()
			})
		}
	}
}

type roomOn struct {
	*testing.T
	r       *rand.Rand
	s       *Store
	mounted string
	foreign int64
	// slack is what metadata may take or give back meanwhile.
	slack int64
	made  int
}

func (r *roomOn) statfs() (size, free int64) {
	r.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(r.mounted, &s); err != nil {
		r.Fatal(err)
	}
	return int64(s.Blocks-s.Bfree+s.Bavail) * s.Bsize, int64(s.Bavail) * s.Bsize
}

// others makes files that are not hostdir's hold that much.
func (r *roomOn) others(bytes int64) {
	r.Helper()
	file := filepath.Join(r.mounted, "others")
	if bytes < r.foreign {
		check(r.T, os.Truncate(file, bytes))
	}
	check(r.T, allocate(file, bytes))
	r.foreign = bytes
	disk.Sync(r, r.mounted)
}

// allocate makes a file hold room without writing it.
func allocate(path string, bytes int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || bytes <= info.Size() {
		return err
	}
	// XFS wants room for all of what is asked for, be it there already.
	return unix.Fallocate(int(f.Fd()), 0, info.Size(), bytes-info.Size())
}

func (r *roomOn) available() int64 {
	r.s.sampleAll()
	return r.s.Capacity(defaultClass).AvailableBytes
}

func (r *roomOn) within(what string, got, want int64) {
	r.Helper()
	if diff := got - want; max(diff, -diff) > r.slack {
		r.Errorf("%s: %d MiB, want about %d", what, got>>20, want>>20)
	}
}

// count lets the filesystem settle and counts everything.
func (r *roomOn) count() {
	r.Helper()
	disk.Sync(r, r.mounted)
	d := only(r, r.s)
	r.s.count(r.Context(), d)
	d.walk(r.Context())
}

// restart is a new process, which nobody lets count.
func (r *roomOn) restart() {
	r.Helper()
	r.s.remember(r.Context())
	r.s = reopen(r.T, r.s)
}

func (r *roomOn) create(bytes int64) (Volume, error) {
	r.made++
	req := request(fmt.Sprintf("pvc-%d", r.made))
	req.RequiredBytes = bytes
	return r.s.Create(r.Context(), req)
}

func (r *roomOn) run() {
	r.count()
	most := r.available()
	if most < 8*mebibyte {
		r.Fatalf("only %d MiB are available at the start", most>>20)
	}
	written, err := r.create(most / 4)
	check(r.T, err)
	r.within("after a volume is made", r.available(), most-most/4)

	// Whatever this writes is within its claim, and changes nothing, but for what
	// it does in the midst of a count.
	amplitude := min(8*mebibyte, most/8)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			file := filepath.Join(written.Path, fmt.Sprint(i%4))
			if i%8 < 4 {
				_ = allocate(file, amplitude/4)
			} else {
				os.Remove(file)
			}
		}
	})
	defer func() { close(stop); writer.Wait() }()

	before := r.available()
	for range 20 {
		time.Sleep(2 * time.Millisecond)
		r.within("while a volume is written to", r.available(), before)
	}
	r.slack += 2 * amplitude
	for range 3 {
		r.cycle()
	}
	for _, policy := range r.s.Status() {
		if _, free := r.statfs(); policy.Evicted > 0 && float64(free) > 2*fullShare*float64(policy.Space.SizeBytes) {
			r.Errorf("%d deleted volumes went before their time, with %d MiB free", policy.Evicted, free>>20)
		}
	}
}

// cycle takes a volume through its life, across restarts.
func (r *roomOn) cycle() {
	room := r.available()
	_, err := r.create(room + r.slack)
	wantClass(r.T, err, errdefs.ErrNoSpace)
	v, err := r.create(room / 2)
	if err != nil {
		r.Fatalf("%d MiB were said to be available: %v", room>>20, err)
	}
	r.within("made", r.available(), room-room/2)
	if whole, err := r.create(r.available()); err != nil {
		r.Errorf("what is left cannot be had: %v", err)
	} else {
		r.within("all is taken", r.available(), 0)
		mustDelete(r.T, r.s, whole.ID)
		_, err := r.s.Purge(r.Context(), whole.ID)
		check(r.T, err)
		r.s.purgeAll(r.Context())
		r.within("and given back", r.available(), room-room/2)
	}

	used := room / 4
	check(r.T, allocate(filepath.Join(v.Path, "file"), used))
	r.within("a burst of writes", r.available(), room-room/2)
	r.restart()
	r.within("a restart before it is counted", r.available(), room-room/2)
	r.s.purgeAll(r.Context())
	r.count()
	r.within("counted", r.available(), room-room/2)
	r.restart()
	r.within("a restart, counted", r.available(), room-room/2)
	r.count()

	mustDelete(r.T, r.s, v.ID)
	r.within("deleted", r.available(), room-used)
	r.s.purgeAll(r.Context()) // does not touch it
	r.restart()
	r.within("deleted, and a restart", r.available(), room-used)
	_, beyond, err := r.s.Undelete(r.Context(), v.ID)
	if err != nil || beyond > r.slack {
		r.Fatalf("undelete: %v, by %d too much", err, beyond)
	}
	r.count()
	r.within("brought back", r.available(), room-room/2)

	// Others.
	was := r.foreign
	r.others(was + room/8)
	r.count()
	r.within("others wrote", r.available(), room-room/2-room/8)
	r.others(was)
	r.count()
	r.within("and removed it", r.available(), room-room/2)

	mustDelete(r.T, r.s, v.ID)
	_, err = r.s.Purge(r.Context(), v.ID)
	check(r.T, err)
	r.s.purgeAll(r.Context())
	disk.Sync(r, r.mounted)
	r.s.purgeAll(r.Context()) // btrfs takes its time
	r.count()
	r.within("purged", r.available(), room)
}
