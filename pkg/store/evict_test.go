package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// fullOfTrash is a store whose only disk is full and has these deleted volumes, of
// this size each, all of them old enough to go.
func fullOfTrash(t *testing.T, mounted string, entries int, size int64) *Store {
	t.Helper()
	base := filepath.Join(mounted, "disk")
	mkdirAll(t, base)
	s := keeping(t, base, "trashTTL: 24h, minTrashTTL: 1h")
	for i := range entries {
		req := request(fmt.Sprintf("pvc-%d", i))
		req.RequiredBytes = 2 * size
		v := mustCreate(t, s, req)
		check(t, allocate(filepath.Join(v.Path, "file"), size))
		disk.Sync(t, mounted)
		only(t, s).walk(t.Context())
		s.countAll(t.Context())
		mustDelete(t, s, v.ID)
		e := only(t, s).trashList()[i].entry
		_, id, _ := cutLast(e.file)
		older := fmt.Sprintf("%s.%s.%s", e.name, e.deleted.Add(time.Duration(i-entries)*time.Hour).Format(momentLayout), id)
		move(t, filepath.Join(base, trashDir), e.file, older)
		check(t, only(t, s).readTrash())
	}
	s.purgeAll(t.Context())
	if n := len(s.Trash()); n != entries {
		t.Fatalf("%d volumes are in the trash, want %d", n, entries)
	}
	return s
}

// takeRoom leaves that share of the filesystem free.
func takeRoom(t *testing.T, mounted, name string, share float64) {
	t.Helper()
	disk.Sync(t, mounted)
	var s unix.Statfs_t
	if err := unix.Statfs(mounted, &s); err != nil {
		t.Fatal(err)
	}
	size := float64(int64(s.Blocks-s.Bfree+s.Bavail) * s.Bsize)
	check(t, allocate(filepath.Join(mounted, name), int64(s.Bavail)*s.Bsize-int64(share*size)))
	disk.Sync(t, mounted)
}

// wantEvicted checks how many deleted volumes went before their time in all, and
// that they are the oldest.
func wantEvicted(t *testing.T, s *Store, entries, want int) {
	t.Helper()
	got := s.Status()[0].Evicted
	left := 0
	for _, d := range s.Trash() {
		if d.Deleted.IsZero() {
			continue // btrfs takes its time with it
		}
		left++
		var n int
		if _, err := fmt.Sscanf(d.Name, "pvc-%d", &n); err != nil || n < got {
			t.Errorf("%s is there still, with %d gone", d.Name, got)
		}
	}
	if got != want || left != entries-want {
		t.Errorf("%d volumes went before their time and %d are left, want %d of %d gone", got, left, want, entries)
	}
}

// TestEvict purges as many of the oldest as it takes, and no more.
func TestEvict(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	for _, filesystem := range []string{"ext4", "xfs"} {
		for _, enough := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s %d", filesystem, enough), func(t *testing.T) {
				t.Parallel()
				const entries = 5
				mounted := disk.Mount(t, filesystem, 320*mebibyte)
				size := int64(40*mebibyte) / 3 / int64(enough)
				s := fullOfTrash(t, mounted, entries, size)
				// 4 % of some 250 MiB are some 13 MiB: with that back there are 8 %.
				var f unix.Statfs_t
				if err := unix.Statfs(mounted, &f); err != nil {
					t.Fatal(err)
				}
				share := fullShare - (float64(enough)-0.5)*float64(size)/float64(int64(f.Blocks-f.Bfree+f.Bavail)*f.Bsize)
				takeRoom(t, mounted, "others", share)
				s.purgeAll(t.Context())
				for i := 0; s.Status()[0].Evicted < enough && i < enough; i++ { // XFS may still be freeing the last one
					time.Sleep(time.Second)
					only(t, s).settle()
					s.purgeAll(t.Context())
				}
				wantEvicted(t, s, entries, enough)
				s.purgeAll(t.Context())
				wantEvicted(t, s, entries, enough)
			})
		}
	}
}

// TestEvictWaits has a filesystem that gives room back only after a while, or of
// which nobody knows what an entry held: whoever asks again meanwhile, one entry is
// what it costs.
func TestEvictWaits(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	for name, mount := range map[string]func() string{
		"btrfs":        func() string { return disk.Mount(t, "btrfs", 512*mebibyte) },
		"btrfs limits": func() string { return disk.MountLimited(t, 512*mebibyte) },
		"ext4":         func() string { return disk.Mount(t, "ext4", 256*mebibyte) },
	} {
		t.Run(name, func(t *testing.T) {
			const entries = 4
			mounted := mount()
			if name != "ext4" {
				if err := unix.Mount("", mounted, "", unix.MS_REMOUNT, "commit=300"); err != nil {
					t.Fatal(err)
				}
			}
			s := fullOfTrash(t, mounted, entries, 40*mebibyte)
			if name == "ext4" { // a restart does not know
				s = reopen(t, s)
			}
			takeRoom(t, mounted, "others", 0.005)
			for range 4 {
				s.purgeAll(t.Context())
				wantEvicted(t, s, entries, 1)
			}
			// Once it has settled, and is full again, the next one goes.
			disk.Sync(t, mounted)
			s.purgeAll(t.Context())
			takeRoom(t, mounted, "more", 0.005)
			only(t, s).settle()
			s.purgeAll(t.Context())
			if n := s.Status()[0].Evicted; n != 2 {
				t.Errorf("%d volumes went before their time, want 2", n)
			}
		})
	}
}

// TestErrorsEvictNothing looks at a full disk in vain: what is not known is no reason
// to purge somebody's data.
func TestErrorsEvictNothing(t *testing.T) {
	plugin.RequireRoot(t)
	mounted := disk.Mount(t, "ext4", 128*mebibyte)
	s := fullOfTrash(t, mounted, 2, 8*mebibyte)
	takeRoom(t, mounted, "others", 0.01)
	d := only(t, s)
	for spare := range 2 { // with a third it can
		enough := limitDescriptors(t, spare)
		evicted := s.evict(t.Context(), d)
		enough()
		if evicted || len(s.Trash()) != 2 {
			t.Errorf("with %d descriptors: evicted %t, %d left", spare, evicted, len(s.Trash()))
		}
	}
	d.space.Space = dir.Space{Size: 100, Free: 0}
	for name, is := range map[string]space{
		"an error":        {Space: d.space.Space, at: time.Now(), err: errors.New("input/output error")},
		"never looked at": {Space: d.space.Space},
		"read-only":       {Space: dir.Space{Size: 100, ReadOnly: true}, at: time.Now()},
		"no inodes, as the filesystem counts none": {Space: dir.Space{Size: 100, Free: 50}, at: time.Now()},
	} {
		if d.space = is; d.isFull() {
			t.Errorf("%s: the disk counts as full", name)
		}
	}
	d.space = space{Space: dir.Space{Size: 100, Free: 50, Inodes: 100, FreeInodes: 1}, at: time.Now()}
	if !d.isFull() {
		t.Error("a disk without inodes does not count as full")
	}
	d.retire(errors.New("another disk is there"))
	if s.evict(t.Context(), d) || d.trash.evicted != 0 {
		t.Error("the trash of a disk that is not in use was purged")
	}
}
