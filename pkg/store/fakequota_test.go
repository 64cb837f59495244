package store

import (
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/quota"
)

// fakeQuota limits nothing and remembers what was asked for, in the manner of XFS:
// a test sees what the store does with limits where the kernel has none.
type fakeQuota struct {
	mu      sync.Mutex
	limits  map[quota.ID]quota.Limit
	removed []quota.ID
	// wait, if set, is called before a directory is made.
	wait func()
}

// limitBy lets a disk limit its volumes so.
func limitBy(d *diskState, q *fakeQuota) *fakeQuota {
	d.mu.Lock()
	defer d.mu.Unlock()
	if q.limits == nil {
		q.limits = map[quota.ID]quota.Limit{}
	}
	d.limits, d.whyAdvisory = q, nil
	return q
}

func (q *fakeQuota) Kind() quota.Kind { return quota.XFS }

func (q *fakeQuota) Create(parent *os.File, name string, requested quota.ID) (quota.ID, error) {
	if q.wait != nil {
		q.wait()
	}
	return requested, unix.Mkdirat(int(parent.Fd()), name, 0o700)
}

func (q *fakeQuota) Set(_ *os.File, id quota.ID, limit quota.Limit) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limits[id] = limit
	return nil
}

func (q *fakeQuota) Get(_ *os.File, id quota.ID) (quota.Limit, quota.Usage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.limits[id], quota.Usage{Bytes: 4096, Inodes: 1}, nil
}

func (q *fakeQuota) Used(_ *os.File, id quota.ID) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, used := q.limits[id]
	return used, nil
}

func (q *fakeQuota) Remove(_ *os.File, id quota.ID) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.limits, id)
	q.removed = append(q.removed, id)
	return nil
}

func (q *fakeQuota) limit(t *testing.T, v Volume) quota.Limit {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.limits[v.Quota.ID]
}
