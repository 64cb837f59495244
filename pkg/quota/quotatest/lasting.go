package quotatest

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

func (s *suite) counts(t *testing.T) {
	v := s.create(t, "counts", quota.Limit{Bytes: 64 * mib})
	_, empty := s.get(t, v)
	f := s.file(t, v, "file")
	if _, full, err := Fill(f, 5*mib+4096); full || err != nil {
		t.Fatalf("full: %t, %v", full, err)
	}
	_, usage := s.get(t, v)
	blocks := s.blocks(t, f)
	switch s.q.Kind() {
	case quota.Btrfs: // data, and whole nodes of the trees
		if over := usage.Bytes - blocks; blocks != 5*mib+4096 || over < 0 || over > 128<<10 || over%4096 != 0 {
			t.Errorf("Get() = %+v for %d bytes", usage, blocks)
		}
	default:
		if want := blocks + s.blocks(t, v.File); usage.Bytes != want || usage.Inodes != 2 {
			t.Errorf("Get() = %+v, want %d bytes and 2 inodes", usage, want)
		}
		var df unix.Statfs_t
		if err := unix.Fstatfs(int(v.Fd()), &df); err != nil || int64(df.Blocks)*df.Bsize != 64*mib {
			t.Errorf("df shows %d blocks of %d bytes, %v; want the limit", df.Blocks, df.Bsize, err)
		}
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a removed file is not counted", func() bool {
		_, usage := s.get(t, v)
		return usage == empty
	})
}

// blocks is what stat(2) says that a file has.
func (s *suite) blocks(t *testing.T, f *os.File) int64 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Blocks * 512
}

func (s *suite) restores(t *testing.T) {
	v := s.create(t, "restored", quota.Limit{Bytes: 8 * mib})
	f := s.file(t, v, "file")
	s.set(t, v, quota.Limit{}) // somebody else
	if limit, _ := s.get(t, v); limit != (quota.Limit{}) {
		t.Errorf("Get() = %+v without limits", limit)
	}
	if _, full, err := Fill(f, 6*mib); full || err != nil {
		t.Fatalf("full: %t, %v", full, err)
	}
	for range 2 {
		s.set(t, v, quota.Limit{Bytes: 8 * mib})
	}
	s.fillUp(t, v, f, 8*mib)
}

func (s *suite) survivesRemount(t *testing.T) {
	// Nothing may be open at the disk then.
	limit := quota.Limit{Bytes: 8 * mib}
	v := s.create(t, "lasting", limit)
	f := s.file(t, v, "file")
	if _, full, err := Fill(f, 6*mib); full || err != nil {
		t.Fatalf("full: %t, %v", full, err)
	}
	f.Close() // XFS gives back what it had set aside for a file that grows
	wantLimit, wantUsage := s.get(t, v)
	v.Close()
	remount(t, s.dir)

	s.detect(t, s.q.Kind())
	v.File = s.open(t, v.Name())
	gotLimit, gotUsage := s.get(t, v)
	if gotLimit != wantLimit || gotUsage != wantUsage || gotLimit != limit {
		t.Errorf("Get() = %+v, %+v after a remount, before %+v, %+v", gotLimit, gotUsage, wantLimit, wantUsage)
	}
	s.fillUp(t, v, s.file(t, v, "file"), limit.Bytes)
}

func (s *suite) givesBack(t *testing.T) {
	parent := s.open(t, s.dir)
	v := s.create(t, "given-back", quota.Limit{Bytes: 8 * mib})
	f := s.file(t, v, "file")
	if _, _, err := Fill(f, mib); err != nil {
		t.Fatal(err)
	}
	s.expectUsed(t, parent, v.id, true)
	f.Close()
	v.Close()
	if err := os.RemoveAll(v.Name()); err != nil {
		t.Fatal(err)
	}
	s.expectUsed(t, parent, v.id, true) // by its limits
	eventually(t, "limits are removed", func() bool {
		err := s.q.Remove(parent, v.id)
		if err != nil && !errors.Is(err, errdefs.ErrBusy) {
			t.Fatal(err)
		}
		s.sync(t, parent)
		return err == nil
	})
	eventually(t, "the ID is free", func() bool {
		used, err := s.q.Used(parent, v.id)
		return err == nil && !used
	})
	if err := s.q.Remove(parent, v.id); err != nil {
		t.Errorf("Remove again: %v", err)
	}
}

func (s *suite) expectUsed(t *testing.T, fs *os.File, id quota.ID, want bool) {
	t.Helper()
	if used, err := s.q.Used(fs, id); used != want || err != nil {
		t.Errorf("Used(%d) = %t, %v", id, used, err)
	}
}

func (s *suite) takesMany(t *testing.T) {
	const many = 200
	var volumes [many]volume
	limit := func(i int) int64 { return int64(i+1) * mib }
	var wg sync.WaitGroup
	parent := s.open(t, s.dir)
	for i := range volumes {
		wg.Go(func() {
			name := fmt.Sprintf("many-%d", i)
			id, err := s.q.Create(parent, name, quota.ID(10_000+i))
			if err != nil {
				t.Error(err)
				return
			}
			dir, err := os.Open(s.dir + "/" + name)
			if err != nil {
				t.Error(err)
				return
			}
			volumes[i] = volume{dir, id}
			if err := s.q.Set(dir, id, quota.Limit{Bytes: limit(i)}); err != nil {
				t.Error(err)
			}
			f, err := openat(dir, "file")
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if _, err := f.Write(make([]byte, 4096*(i+1))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	s.sync(t, parent)
	byID := map[quota.ID]int{}
	_, empty := s.get(t, s.create(t, "empty", quota.Limit{}))
	for i, v := range volumes {
		if other, taken := byID[v.id]; taken {
			t.Errorf("%s and many-%d both have ID %d", v.Name(), other, v.id)
		}
		byID[v.id] = i
		got, usage, err := s.q.Get(v.File, v.id)
		if data := usage.Bytes - empty.Bytes; err != nil || got.Bytes != limit(i) || data < 4096*int64(i+1) || data > 4096*int64(i+3) {
			t.Errorf("many-%d: Get() = %+v, %+v, %v", i, got, usage, err)
		}
		v.Close()
		if err := os.RemoveAll(v.Name()); err != nil {
			t.Error(err)
		}
	}
}
