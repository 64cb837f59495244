package quotatest

import (
	"errors"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/hostdir/hostdir/pkg/quota"
)

// slack is how much earlier than at its limit a directory may be full, because
// the filesystem counts more than files' content. XFS and ext4 count the
// directory and the blocks that map files: a few of 4 KiB. btrfs counts its
// trees' nodes of 16 KiB, and sets aside those that a write may change.
func (s *suite) slack() int64 {
	if s.q.Kind() == quota.Btrfs {
		return 128 << 10
	}
	return 64 << 10
}

// fillUp writes until the volume refuses, which must be at size.
func (s *suite) fillUp(t *testing.T, v volume, f *os.File, size int64) {
	t.Helper()
	_, full, err := Fill(f, 2*size)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("full at %d bytes below the limit", size-info.Size())
	if !full || info.Size() > size || info.Size() < size-s.slack() {
		t.Errorf("wrote %d bytes under a limit of %d, refused: %t", info.Size(), size, full)
	}
}

func (s *suite) stopsAtLimit(t *testing.T) {
	v := s.create(t, "limited", quota.Limit{Bytes: 8 * mib})
	neighbour := s.create(t, "neighbour", quota.Limit{Bytes: 32 * mib})
	unlimited := s.create(t, "unlimited", quota.Limit{})
	s.fillUp(t, v, s.file(t, v, "file"), 8*mib)
	another, err := openat(v.File, "another") // btrfs has no room for a name either
	if err == nil {
		_, _, err = Fill(another, mib)
		another.Close()
	}
	if err != nil && !isFull(err) {
		t.Error(err)
	}
	if _, usage := s.get(t, v); usage.Bytes > 8*mib {
		t.Errorf("a second file took it to %d bytes", usage.Bytes)
	}
	for _, other := range []volume{neighbour, unlimited} {
		if _, full, err := Fill(s.file(t, other, "file"), 16*mib); full || err != nil {
			t.Errorf("%s is full: %t, %v", other.Name(), full, err)
		}
	}
}

func (s *suite) growsUnderWriter(t *testing.T) {
	v := s.create(t, "grows", quota.Limit{Bytes: 8 * mib})
	f := s.file(t, v, "file")
	s.fillUp(t, v, f, 8*mib)
	s.set(t, v, quota.Limit{Bytes: 16 * mib})
	s.fillUp(t, v, f, 16*mib)
}

func (s *suite) shrinks(t *testing.T) {
	v := s.create(t, "shrinks", quota.Limit{Bytes: 16 * mib})
	f := s.file(t, v, "file")
	if _, full, err := Fill(f, 8*mib); full || err != nil {
		t.Fatalf("full: %t, %v", full, err)
	}
	s.set(t, v, quota.Limit{Bytes: 4 * mib})
	if limit, usage := s.get(t, v); limit.Bytes != 4*mib || usage.Bytes < 8*mib {
		t.Errorf("Get() = %+v, %+v", limit, usage)
	}
	// XFS has set aside room for a file that grows, which the file may use.
	if grown, full, err := Fill(f, 16*mib); !full || err != nil || grown > 8*mib {
		t.Errorf("writing on is refused: %t, %v, after %d bytes", full, err, grown)
	}
}

func (s *suite) limitsInodes(t *testing.T) {
	const most = 100
	if s.q.Kind() == quota.Btrfs {
		v := s.create(t, "inodes", quota.Limit{})
		if err := s.q.Set(v.File, v.id, quota.Limit{Bytes: mib, Inodes: most}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Set with a limit of inodes = %v", err)
		}
		return
	}
	v := s.create(t, "inodes", quota.Limit{Inodes: most})
	made := func() (n int) {
		err := asUser(func() error {
			for ; ; n++ {
				f, err := openat(v.File, fmt.Sprintf("%d-%d", n, lastID.Add(1)))
				if err != nil {
					return err
				}
				f.Close()
			}
		})
		if !isFull(err) {
			t.Fatal(err)
		}
		return n
	}
	if n := made(); n != most-1 { // the directory itself is one
		t.Errorf("made %d files under a limit of %d inodes", n, most)
	}
	s.set(t, v, quota.Limit{Inodes: most + 10})
	if n := made(); n != 10 {
		t.Errorf("made %d files after growing by 10", n)
	}
	if limit, usage := s.get(t, v); limit.Inodes != most+10 || usage.Inodes != most+10 {
		t.Errorf("Get() = %+v, %+v", limit, usage)
	}
}

func (s *suite) refusesBadValues(t *testing.T) {
	parent := s.open(t, s.dir)
	for _, limit := range []quota.Limit{{Bytes: -1}, {Inodes: -1}, {Bytes: math.MaxInt64}, {Bytes: 1, Inodes: math.MinInt64}} {
		if err := s.q.Set(parent, 5, limit); err == nil {
			t.Errorf("Set(%+v) is not refused", limit)
		}
	}
	if err := s.q.Set(parent, 0, quota.Limit{Bytes: mib}); err == nil {
		t.Error("Set of ID 0 is not refused")
	}
	if _, _, err := s.q.Get(parent, 0); err == nil {
		t.Error("Get of ID 0 is not refused")
	}
	if _, err := s.q.Used(parent, 0); err == nil {
		t.Error("Used of ID 0 is not refused")
	}
	if err := s.q.Remove(parent, 0); err == nil {
		t.Error("Remove of ID 0 is not refused")
	}
	if s.q.Kind() != quota.Btrfs {
		for _, requested := range []quota.ID{0, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64} {
			if _, err := s.q.Create(parent, "bad", requested); err == nil {
				t.Errorf("Create with project %d is not refused", requested)
			}
		}
	}
	if _, err := os.Stat(s.dir + "/bad"); err == nil {
		t.Error("what was refused left a directory")
	}
}
