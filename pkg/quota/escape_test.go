package quota_test

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

// limited makes a directory that is limited to 8 MiB.
func limited(t *testing.T, dir, name string, wish quota.ID) (q quota.Quota, f *os.File, id quota.ID) {
	t.Helper()
	parent := open(t, dir)
	q, err := quota.Detect(parent)
	if err != nil {
		t.Fatal(err)
	}
	id, err = q.Create(parent, name, wish)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir + "/" + name) })
	f = open(t, dir+"/"+name)
	if err := q.Set(f, id, quota.Limit{Bytes: 8 << 20}); err != nil {
		t.Fatal(err)
	}
	return q, f, id
}

// losesProject wants Get to see that a directory was moved to another project,
// and Set to move it back.
func losesProject(t *testing.T, dir string) {
	q, f, id := limited(t, dir, "moved", 500)
	if err := quota.Label(f, 501); err != nil {
		t.Fatal(err)
	}
	if limit, _, err := q.Get(f, id); limit != (quota.Limit{}) || err != nil {
		t.Errorf("Get() = %+v, %v for a directory of another project", limit, err)
	}
	if err := q.Set(f, id, quota.Limit{Bytes: 8 << 20}); err != nil {
		t.Fatal(err)
	}
	limit, usage, err := q.Get(f, id)
	if limit.Bytes != 8<<20 || usage.Inodes != 1 || err != nil {
		t.Errorf("Get() = %+v, %+v, %v after it was set again", limit, usage, err)
	}
}

// limitsNested wants the limit of a directory to hold for the subvolumes that
// are made in it and in those.
func limitsNested(t *testing.T, dir string) {
	q, f, id := limited(t, dir, "outer", 0)
	for range 2 {
		if _, err := q.Create(f, "inner", 0); err != nil {
			t.Fatal(err)
		}
		f = open(t, f.Name()+"/inner")
	}
	const limit = 8 << 20
	written, err := io.Copy(create(t, f.Name()+"/file"), io.LimitReader(zeros{}, 2*limit))
	if !errors.Is(err, unix.EDQUOT) || written < limit-256<<10 || written > limit {
		t.Errorf("wrote %d bytes, then %v", written, err)
	}
	outer := open(t, dir+"/outer")
	if err := unix.Syncfs(int(outer.Fd())); err != nil {
		t.Fatal(err)
	}
	if _, usage, err := q.Get(outer, id); usage.Bytes < written || usage.Bytes > limit || err != nil {
		t.Errorf("Get() = %+v, %v; %d bytes were written", usage, err, written)
	}

	if err := os.RemoveAll(dir + "/outer"); err != nil {
		t.Fatal(err)
	}
	parent := open(t, dir)
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := q.Remove(parent, id)
		if err == nil {
			break
		}
		if !errors.Is(err, errdefs.ErrBusy) || time.Since(start) > time.Minute {
			t.Fatal(err)
		}
		if err := unix.IoctlSetInt(int(parent.Fd()), 0x9408 /* BTRFS_IOC_SYNC */, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// zeros is a file without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
