package quota_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

// limited makes a directory that is limited to 8 MiB.
func limited(t *testing.T, dir, name string, requested quota.ID) (q quota.Quota, f *os.File, id quota.ID) {
	t.Helper()
	parent := open(t, dir)
	q, err := quota.Detect(parent)
	if err != nil {
		t.Fatal(err)
	}
	id, err = q.Create(parent, name, requested)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir + "/" + name); err != nil {
			t.Error(err)
		}
		if err := q.Remove(parent, id); err != nil && !errors.Is(err, errdefs.ErrBusy) {
			t.Error(err)
		}
	})
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
// are made in it and in those, and all of them to be removable.
func limitsNested(t *testing.T, dir string) {
	q, outer, id := limited(t, dir, "outer", 0)
	opened := []*os.File{outer}
	for _, in := range []string{"/outer", "/outer/inner"} {
		parent := open(t, dir+in)
		opened = append(opened, parent)
		if _, err := q.Create(parent, "inner", 0); err != nil {
			t.Fatal(err)
		}
	}
	const limit = 8 << 20
	file, err := os.Create(outer.Name() + "/inner/inner/file")
	if err != nil {
		t.Fatal(err)
	}
	written, err := file.Write(make([]byte, 2*limit))
	if !errors.Is(err, unix.EDQUOT) || written < limit-256<<10 || written > limit {
		t.Errorf("wrote %d bytes, then %v", written, err)
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, usage, err := q.Get(outer, id); usage.Bytes < int64(written) || usage.Bytes > limit || err != nil {
		t.Errorf("Get() = %+v, %v; %d bytes were written", usage, err, written)
	}

	if err := q.Set(outer, id, quota.Limit{}); err != nil { // makes room for removing
		t.Fatal(err)
	}
	for _, f := range append(opened, file) {
		f.Close() // btrfs clears away what nobody has open
	}
	if err := os.RemoveAll(outer.Name()); err != nil {
		t.Fatal(err)
	}
	parent := open(t, dir)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := q.Remove(parent, id)
		if err == nil {
			break
		}
		if !errors.Is(err, errdefs.ErrBusy) || time.Now().After(deadline) {
			t.Fatal(err)
		}
		if err := unix.IoctlSetInt(int(parent.Fd()), 0x9408 /* BTRFS_IOC_SYNC */, 0); err != nil {
			t.Fatal(err)
		}
	}
}
