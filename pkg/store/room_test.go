package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	pkgdisk "github.com/hostdir/hostdir/pkg/disk"
)

func TestAvailable(t *testing.T) {
	known := func(bytes int64) foreign { return foreign{bytes: bytes, known: true} }
	for _, test := range []struct {
		name string
		f    figures
		want int64
	}{
		{"an empty disk", figures{size: 100, free: 100, foreign: known(0)}, 100},
		{"never counted, and nothing written", figures{size: 100, free: 100, allocated: 60}, 40},
		{"never counted, and what is written fits the volumes", figures{size: 100, free: 60, allocated: 60}, 40},
		{"never counted, and more is written than the volumes can hold", figures{size: 100, free: 20, allocated: 60}, 20},
		{"counted: others are others", figures{size: 100, free: 50, allocated: 60, foreign: known(20)}, 20},
		{"a burst of writes within the claims", figures{size: 100, free: 22, allocated: 60, foreign: known(20)}, 20},
		{"volumes have removed files since they were counted", figures{size: 100, free: 78, allocated: 60, foreign: known(20)}, 20},
		{"others write more", figures{size: 100, free: 15, allocated: 60, foreign: known(20)}, 15},
		{"others have removed so much that the figure cannot be", figures{size: 100, free: 90, allocated: 60, foreign: known(20)}, 30},
		{"a figure that was remembered, and is beyond what is there", figures{size: 100, free: 95, foreign: known(50)}, 95},
		{"more is allocated than there is", figures{size: 100, free: 80, allocated: 140, foreign: known(20)}, 0},
		{"the reserve is used up", figures{size: 100, free: 10, allocated: 60, reserve: 10, foreign: known(30)}, 0},
		{"the reserve is kept", figures{size: 100, free: 100, reserve: 10, foreign: known(0)}, 90},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.f.available(config.Overcommit{}); got != test.want {
				t.Errorf("%d are available, want %d: %+v", got, test.want, test.f)
			}
		})
	}
}

// TestRoomOfDatasets has disks on two datasets of one ZFS pool. Each reports as its
// size what it holds itself and what is free for both.
func TestRoomOfDatasets(t *testing.T) {
	first, second := accountOf("zpool tank", 1), accountOf("zpool tank", 2)
	second.peers = func() []*diskState { return []*diskState{first} }
	first.space = space{Space: dir.Space{Size: 70, Free: 40}, at: time.Now()}
	second.space = space{Space: dir.Space{Size: 60, Free: 40}, at: time.Now().Add(time.Second)}
	if f := second.figures(); f.size != 90 || f.free != 40 {
		t.Errorf("the pool has %d, %d free; want 90, 40 free", f.size, f.free)
	}
	// Two disks on one dataset do not count what it holds twice.
	third := accountOf("zpool tank", 1)
	third.space = first.space
	third.peers = func() []*diskState { return []*diskState{first, second} }
	if f := third.figures(); f.size != 90 || f.free != 40 {
		t.Errorf("the pool has %d, %d free; want 90, 40 free", f.size, f.free)
	}
}

// accountOf is a disk of which there is nothing but its account.
func accountOf(storage string, device uint64) *diskState {
	return &diskState{
		path: fmt.Sprintf("/disk-%d", device), storage: storage, calls: newCalls(), trash: newTrashIndex(),
		id:    pkgdisk.Identity{Inode: dir.Inode{Device: device}},
		peers: func() []*diskState { return nil },
	}
}

// TestRoomAtRandom compares the account of a filesystem with the truth, while
// volumes are made, written to, deleted, brought back and purged, others write and
// remove files, all is counted now and then, and the process starts anew.
func TestRoomAtRandom(t *testing.T) {
	t.Parallel()
	for _, disks := range []int{1, 2} {
		t.Run(fmt.Sprintf("disks: %d", disks), func(t *testing.T) {
			for range 200 {
				seed := rand.Uint64()
				w := newWorld(t, rand.New(rand.NewPCG(seed, 0)), disks)
				for range 100 {
					w.step()
					w.check()
					if t.Failed() {
						t.Fatalf("seed %d:\n%s", seed, w.log)
					}
				}
			}
		})
	}
}

// world is the truth about a filesystem and the volumes on its disks.
type world struct {
	t   *testing.T
	r   *rand.Rand
	log string

	size, reserve int64
	foreign       int64 // files that are not hostdir's
	disks         []*diskState
	volumes       []*thing
	trash         []*thing
	made          int

	// counted is what the account has for others, as far as it can know; -1 if it
	// can know nothing.
	counted int64
	// harmless is set by a step that must not change what is available.
	harmless bool
	before   int64
}

// thing is a volume, or was one.
type thing struct {
	disk     int
	entry    entry
	record   Record
	capacity int64
	written  int64
}

func newWorld(t *testing.T, r *rand.Rand, disks int) *world {
	w := &world{t: t, r: r, size: 1000, reserve: r.Int64N(2) * 50, foreign: r.Int64N(300)}
	w.disks = make([]*diskState, disks)
	w.restart(-1)
	w.count()
	return w
}

// restart makes all accounts anew, with this figure for others, -1 for none.
func (w *world) restart(remembered int64) {
	for i := range w.disks {
		d := accountOf("storage", 7)
		d.pool.Reserve = reserveOf(w.reserve)
		d.peers = func() (all []*diskState) {
			for _, other := range w.disks {
				if other != d {
					all = append(all, other)
				}
			}
			return all
		}
		if remembered >= 0 {
			d.foreign = foreign{bytes: remembered, known: true}
		}
		w.disks[i] = d
	}
	for _, v := range w.volumes {
		w.disks[v.disk].setVolume(v.record.Name, &Volume{Record: v.record, Dir: v.record.Name})
	}
	for _, v := range w.trash {
		w.disks[v.disk].trash.byID[v.entry.trashID()] = &trashed{entry: v.entry, record: &v.record}
	}
	w.counted = remembered
}

func reserveOf(bytes int64) (r config.Reserve) {
	if err := r.UnmarshalJSON(fmt.Append(nil, bytes)); err != nil {
		panic(err)
	}
	return r
}

func (w *world) held() int64 {
	held := w.foreign
	for _, v := range append(w.volumes[:len(w.volumes):len(w.volumes)], w.trash...) {
		held += v.written
	}
	return held
}

// others are all but volumes.
func (w *world) others() int64 {
	others := w.foreign
	for _, v := range w.trash {
		others += v.written
	}
	return others
}

// measure lets all disks look at the filesystem.
func (w *world) measure() {
	for _, d := range w.disks {
		d.space = space{Space: dir.Space{Size: w.size, Free: w.size - w.held()}, at: time.Now()}
	}
}

// count counts all volumes, and then others.
func (w *world) count() {
	for _, v := range w.volumes {
		w.disks[v.disk].setUsage(v.record.Name, Usage{Bytes: v.written, At: time.Now()})
	}
	for _, d := range w.disks {
		d.takeStock(span{w.held(), w.held()})
	}
	w.counted = w.others()
}

func (w *world) available() int64 {
	w.measure()
	bytes, err := w.disks[0].available()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range w.disks {
		if other, err := d.available(); err != nil || other != bytes {
			w.t.Errorf("one disk can give %d, another one of the same filesystem %d (%v)", bytes, other, err)
		}
	}
	return bytes
}

func (w *world) say(format string, args ...any) { w.log += fmt.Sprintf(format, args...) + "\n" }

func (w *world) step() {
	w.before, w.harmless = w.available(), false
	free := w.size - w.held()
	switch w.r.IntN(11) {
	case 0: // a volume is made
		if w.before < 10 {
			return
		}
		w.made++
		v := &thing{disk: w.r.IntN(len(w.disks)), capacity: 1 + w.r.Int64N(min(w.before, 200))}
		v.record = Record{Name: fmt.Sprint("pvc-", w.made), CapacityBytes: v.capacity}
		w.volumes = append(w.volumes, v)
		w.disks[v.disk].setVolume(v.record.Name, &Volume{Record: v.record, Dir: v.record.Name, Usage: Usage{At: time.Now()}})
		w.say("%s made on disk %d: %d", v.record.Name, v.disk, v.capacity)
	case 1: // and deleted
		i, v := pick(w.r, w.volumes)
		if v == nil {
			return
		}
		d := w.disks[v.disk]
		if known := d.volume(v.record.Name); w.counted >= 0 && !known.Usage.At.IsZero() {
			w.counted += known.Usage.Bytes
		}
		v.entry = newEntry(v.record.Name, time.Now())
		w.volumes = append(w.volumes[:i:i], w.volumes[i+1:]...)
		w.trash = append(w.trash, v)
		d.discard(v.entry, v.record)
		w.say("%s deleted, with %d of %d", v.record.Name, v.written, v.capacity)
	case 2: // and brought back
		i, v := pick(w.r, w.trash)
		if v == nil {
			return
		}
		d := w.disks[v.disk]
		t := *d.trash.byID[v.entry.trashID()]
		back := v.capacity
		if t.used != nil {
			back = *t.used
		} else if t.uncounted {
			back = 0
		}
		w.counted = max(min(w.counted, 0), w.counted-back)
		w.trash = append(w.trash[:i:i], w.trash[i+1:]...)
		w.volumes = append(w.volumes, v)
		d.restore(t)
		w.say("%s brought back, with %d of %d", v.record.Name, v.written, v.capacity)
	case 3, 4: // it is written to, or files in it are removed
		if _, v := pick(w.r, w.volumes); v != nil {
			to := w.r.Int64N(v.capacity + 1)
			to = min(to, v.written+free)
			w.say("%s: %d -> %d of %d", v.record.Name, v.written, to, v.capacity)
			w.harmless, v.written = v.written <= v.capacity, to
		}
	case 5: // beyond a capacity that is advisory
		if _, v := pick(w.r, w.volumes); v != nil && w.r.IntN(4) == 0 {
			v.written = min(v.written+free, v.capacity+w.r.Int64N(50))
			w.say("%s: %d beyond %d", v.record.Name, v.written, v.capacity)
		}
	case 6: // others write
		w.foreign += min(free, w.r.Int64N(60))
		w.say("others: %d", w.foreign)
	case 7:
		w.foreign = w.r.Int64N(w.foreign + 1)
		w.say("others: %d", w.foreign)
	case 8: // the purge
		i, v := pick(w.r, w.trash)
		if v == nil {
			return
		}
		d := w.disks[v.disk]
		w.measure()
		before := d.free()
		left := min(v.written, v.capacity)
		if t := d.trash.byID[v.entry.trashID()]; t.used != nil {
			left = *t.used
		} else if t.uncounted {
			left = 0
		}
		w.trash = append(w.trash[:i:i], w.trash[i+1:]...)
		w.measure()
		d.noteFreed(v.entry.trashID(), d.free()-before, true)
		d.forgetTrashed(v.entry.trashID())
		w.counted = max(min(w.counted, 0), w.counted-left)
		w.say("%s purged: %d", v.record.Name, v.written)
	case 9:
		w.count()
		w.say("counted: others hold %d", w.counted)
	case 10:
		if remembered := w.counted; w.r.IntN(2) == 0 {
			w.restart(remembered)
		} else {
			w.restart(-1)
		}
		w.say("restart, remembering %d", w.counted)
	}
}

func pick(r *rand.Rand, all []*thing) (int, *thing) {
	if len(all) == 0 {
		return 0, nil
	}
	i := r.IntN(len(all))
	return i, all[i]
}

func (w *world) check() {
	w.t.Helper()
	got := w.available()
	w.say("  available %d", got)
	held, free := w.held(), w.size-w.held()
	var allocated, allocatedTrue, over int64
	for _, v := range w.volumes {
		known := w.disks[v.disk].volume(v.record.Name)
		allocated += max(v.capacity, known.Usage.Bytes)
		allocatedTrue += max(v.capacity, v.written)
		over += max(0, max(v.capacity, v.written)-max(v.capacity, known.Usage.Bytes))
	}
	// What is certain: volumes hold no more than is allocated to them.
	certain := w.size - max(0, held-allocated) - w.reserve - allocated
	if got > max(0, certain) || free <= w.reserve && got > 0 {
		w.t.Errorf("%d are available, where no more than %d are certain and %d are free", got, certain, free)
	}
	if free <= w.reserve {
		return
	}
	truth := w.size - w.others() - w.reserve - allocatedTrue
	shrunk := allocated - allocatedTrue + over // beyond their capacity when they were counted
	if w.counted >= 0 {
		grown := w.others() - w.counted // not counted yet, of others
		if got < max(0, truth-max(0, -grown)-shrunk) {
			w.t.Errorf("%d are available, want %d: others hold %d more than was counted", got, truth, grown)
		}
		if got > max(0, truth+max(0, grown)+over) {
			w.t.Errorf("%d are available, want %d: others hold %d more than was counted, volumes %d", got, truth, grown, over)
		}
	} else if got < max(0, truth-shrunk) {
		w.t.Errorf("%d are available, want at least %d: nothing was counted", got, truth)
	}
	if w.harmless && w.before > 0 && w.counted == w.others() && over == 0 && shrunk == 0 && got != w.before {
		w.t.Errorf("%d are available, it was %d: volumes were written to within their capacity", got, w.before)
	}
}

// TestNothingIsAvailable has reasons for which a disk gives nothing, whatever is
// free.
func TestNothingIsAvailable(t *testing.T) {
	for name, change := range map[string]func(*diskState){
		"never looked at":    func(d *diskState) { d.space.at = time.Time{} },
		"cannot be asked":    func(d *diskState) { d.space.err = errors.New("an error") },
		"read-only":          func(d *diskState) { d.space.ReadOnly = true },
		"no inodes":          func(d *diskState) { d.space.Inodes, d.space.FreeInodes = 10, 0 },
		"a call is out long": func(d *diskState) { d.calls.begin("a test", -time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			d := accountOf("storage", 1)
			d.space = space{Space: dir.Space{Size: 100, Free: 100}, at: time.Now()}
			if bytes, err := d.available(); err != nil || bytes != 100 {
				t.Fatalf("%d are available: %v", bytes, err)
			}
			change(d)
			if bytes, err := d.available(); err == nil || bytes != 0 {
				t.Errorf("%d are available, without a reason why not", bytes)
			}
		})
	}
}
