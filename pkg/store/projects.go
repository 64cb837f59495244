package store

import (
	"fmt"
	"os"
	"sync"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

// projectIDs hands out the project IDs of new volumes. Which are taken, the
// filesystems know: a volume has limits from its creation until the purge has
// removed its last file, and IDs of others have files or limits too. Kept here
// is only where to look next, and what is handed out but not limited yet.
type projectIDs struct {
	mu      sync.Mutex // guards all below; never held across a system call
	ids     config.IDRange
	next    quota.ID
	pending map[quota.ID]bool
}

func newProjectIDs(ids config.IDRange) *projectIDs {
	return &projectIDs{ids: ids, next: quota.ID(ids.First), pending: map[quota.ID]bool{}}
}

// setRange changes the IDs that new volumes get.
func (p *projectIDs) setRange(ids config.IDRange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids = ids
}

// markUsed notes the ID that a volume has: the search goes on behind it.
func (p *projectIDs) markUsed(q *Quota) {
	if q == nil || q.Kind == quota.Btrfs {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if q.ID >= p.next && q.ID <= quota.ID(p.ids.Last) {
		p.next = q.ID + 1
	}
}

// allocate returns an ID that nobody uses on the filesystem that fs is on. done
// must be called once the ID has limits, or is not wanted.
func (p *projectIDs) allocate(limits quota.Quota, fs *os.File) (id quota.ID, done func(), err error) {
	for tried := int64(0); ; tried++ {
		id, first, last := p.try()
		if id == 0 || tried > int64(last)-int64(first) {
			p.drop(id)
			return 0, nil, fmt.Errorf("%w: the project IDs %d to %d are all in use: give hostdir a wider range (projectIDs in its configuration)",
				errdefs.ErrNoSpace, first, last)
		}
		used, err := limits.Used(fs, id)
		if err == nil && !used {
			return id, func() { p.drop(id) }, nil
		}
		p.drop(id)
		if err != nil {
			return 0, nil, err
		}
	}
}

// try hands out the next ID that is not handed out already, 0 if all are, and
// returns the range that it is from.
func (p *projectIDs) try() (id quota.ID, first, last uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range int64(p.ids.Last) - int64(p.ids.First) + 1 {
		if p.next < quota.ID(p.ids.First) || p.next > quota.ID(p.ids.Last) {
			p.next = quota.ID(p.ids.First)
		}
		id = p.next
		p.next++
		if !p.pending[id] {
			p.pending[id] = true
			return id, p.ids.First, p.ids.Last
		}
	}
	return 0, p.ids.First, p.ids.Last
}

func (p *projectIDs) drop(id quota.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pending, id)
}
