package powercut

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/store"
)

// volume is a volume as it may be after a power cut, nil for none.
type volume struct {
	claim    store.Claim
	class    config.Class
	capacity int64
	// deleted reports that it is in the trash and kept there.
	deleted bool
	// snapshot reports that it is none, but a snapshot of one.
	snapshot bool
	// files are what was synced in it, by name. There may be more: what was
	// not synced yet.
	files map[string]string
}

func (v *volume) String() string {
	if v == nil {
		return "no volume"
	}
	what := "a volume"
	if v.deleted {
		what = "a deleted volume"
	}
	if v.snapshot {
		what = "a snapshot"
	}
	return fmt.Sprintf("%s for claim %s of %d bytes with files %q", what, v.claim, v.capacity, slices.Sorted(maps.Keys(v.files)))
}

type kind string

const (
	create kind = "create"
	expand kind = "expand"
	save   kind = "save" // a pod writes a file and syncs it
	remove kind = "delete"
	// undelete brings back what is kept in the trash.
	undelete kind = "undelete"
	// snapshot makes a snapshot of a volume, restore a volume of it, forget deletes it.
	snapshot kind = "snapshot"
	restore  kind = "restore"
	forget   kind = "forget"
)

// call is something that is asked for, and the drive's positions before it was
// asked for and after it was acknowledged.
type call struct {
	kind kind
	name string // the volume's, or the snapshot's

	claim    store.Claim       // of create, snapshot and restore
	class    config.Class      // of create, snapshot and restore
	capacity int64             // of create, expand, snapshot and restore
	source   string            // of snapshot and restore
	files    map[string]string // of snapshot and restore: what the source holds
	file     string            // of save
	content  string            // of save

	start, end int
}

// never is the end of a call that was not acknowledged.
const never = math.MaxInt

func (c call) String() string { return fmt.Sprintf("%s %s", c.kind, c.name) }

// apply returns what a call makes of a volume.
func (c call) apply(v *volume) *volume {
	switch {
	case c.kind == create && v == nil:
		return &volume{claim: c.claim, class: c.class, capacity: c.capacity}
	case (c.kind == snapshot || c.kind == restore) && v == nil:
		return &volume{claim: c.claim, class: c.class, capacity: c.capacity, files: c.files, snapshot: c.kind == snapshot}
	case v == nil, slices.Contains([]kind{create, snapshot, restore}, c.kind): // a retry, of what is done already
		return v
	case c.kind == forget, c.kind == remove && v.class.TrashTTL == "":
		return nil
	}
	changed := *v
	switch c.kind {
	case expand:
		changed.capacity = max(v.capacity, c.capacity)
	case save:
		changed.files = maps.Clone(v.files)
		if changed.files == nil {
			changed.files = map[string]string{}
		}
		changed.files[c.file] = c.content
	case remove:
		changed.deleted = true
	case undelete:
		changed.deleted = false
	}
	return &changed
}

// history is what a drive has seen happen.
type history struct {
	// memory is what the node remembered of its disks in the end, outside of them.
	memory []byte
	// before is what there may have been at first of each volume, by name.
	before map[string][]*volume
	// calls come in the order in which they were made. Those for one volume
	// did not overlap.
	calls []call
	// pool is the disk's UUID, which must be the same from the position served
	// on.
	pool   string
	served int
}

// answers are the positions at which calls were acknowledged.
func (h *history) answers() (all []int) {
	for _, c := range h.calls {
		if c.end != never {
			all = append(all, c.end)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// present is what a power cut may have left.
type present struct {
	// volumes are the states that each volume may be in, by name.
	volumes map[string][]*volume
	// underWay are calls that were not acknowledged: the last one for each
	// volume, by its name.
	underWay map[string]call
	// pool is the disk's UUID, empty if there need not be one yet.
	pool string
}

// at returns what a power cut at a position may have left.
func (h *history) at(position int) present {
	p := present{volumes: maps.Clone(h.before), underWay: map[string]call{}}
	if p.volumes == nil {
		p.volumes = map[string][]*volume{}
	}
	if h.pool != "" && position >= h.served {
		p.pool = h.pool
	}
	for _, c := range h.calls {
		states, known := p.volumes[c.name]
		if !known {
			states = []*volume{nil}
		}
		done := make([]*volume, len(states))
		for i, v := range states {
			done[i] = c.apply(v)
		}
		switch {
		case c.end <= position:
			p.volumes[c.name] = distinct(done)
			delete(p.underWay, c.name)
		case c.start < position: // it may have done its work, or not
			p.volumes[c.name] = distinct(append(done, states...))
			p.underWay[c.name] = c
		}
	}
	return p
}

// distinct leaves out what is there twice: a call may have been repeated often.
func distinct(states []*volume) []*volume {
	var all []*volume
	for _, v := range states {
		if !slices.ContainsFunc(all, v.equal) {
			all = append(all, v)
		}
	}
	return all
}

func (v *volume) equal(other *volume) bool {
	if v == nil || other == nil {
		return v == other
	}
	return v.is(other) && maps.Equal(v.files, other.files)
}
