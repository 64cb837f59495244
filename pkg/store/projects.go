package store

import (
	"fmt"
	"os"
	"sync"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

// projectIDs hands out the project IDs of new volumes. Which are taken, the
// filesystems know: a volume has limits from its creation until the purge has
// removed its last file, and IDs of others have files or limits too. Kept here
// is only where to look next, and what is handed out but not limited yet.
type projectIDs struct {
	mu      sync.Mutex // guards all below
	ids     IDRange
	next    quota.ID
	pending map[quota.ID]bool
}

func newProjectIDs(ids IDRange) *projectIDs {
	return &projectIDs{ids: ids, next: quota.ID(ids.First), pending: map[quota.ID]bool{}}
}

// seen tells of an ID that a volume has: the search goes on behind it.
func (p *projectIDs) seen(id quota.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id >= p.next && id <= quota.ID(p.ids.Last) {
		p.next = id + 1
	}
}

// take returns an ID that nobody uses on the filesystem that fs is on. done must
// be called once the ID has limits, or is not wanted.
func (p *projectIDs) take(limits quota.Quota, fs *os.File) (id quota.ID, done func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range int64(p.ids.Last) - int64(p.ids.First) + 1 {
		if p.next > quota.ID(p.ids.Last) {
			p.next = quota.ID(p.ids.First)
		}
		id = p.next
		p.next++
		if p.pending[id] {
			continue
		}
		used, err := limits.Used(fs, id)
		if err != nil {
			return 0, nil, err
		}
		if !used {
			p.pending[id] = true
			return id, func() { p.drop(id) }, nil
		}
	}
	return 0, nil, fmt.Errorf("%w: the project IDs %d to %d are all in use: give hostdir a wider range (projectIDs in its configuration)",
		errdefs.ErrNoSpace, p.ids.First, p.ids.Last)
}

func (p *projectIDs) drop(id quota.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pending, id)
}

// seenProjects tells of the IDs that a base directory's volumes have.
func (s *Store) seenProjects(b *base) {
	for _, v := range b.list() {
		if v.Quota != nil && v.Quota.Kind != quota.Btrfs {
			s.projects.seen(v.Quota.ID)
		}
	}
}
