package store

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/tree"
)

// A copy of all files can take hours. One that was cut short is gone on with when the same
// is asked for again, also after a power cut: see tree.Options.Resumable.

// copyFile is beside the data while that is being copied, from the first checkpoint on.
const copyFile = "copy.json"

// copyNote is copy.json.
type copyNote struct {
	// Source is the ID of what is copied.
	Source string    `json:"source"`
	Began  time.Time `json:"began"`
}

func (n copyNote) write(building *dir.Dir) error {
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return errors.Join(building.WriteFile(copyFile, append(data, '\n')), building.Sync())
}

// readCopyNote returns nil unless what is built there can be gone on with.
func readCopyNote(building *dir.Dir) *copyNote {
	var n copyNote
	data, err := building.ReadFile(copyFile)
	if err != nil || json.Unmarshal(data, &n) != nil || n.Source == "" || n.Began.IsZero() {
		return nil
	}
	return &n
}

// removeCopyNote is for a copy that is whole.
func removeCopyNote(building *dir.Dir) error {
	err := building.Unlink(copyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// clockStep is more than the clock of inodes is behind that of programs.
const clockStep = time.Second

// goingOn are the options of a copy that can be gone on with, or is.
func (c *original) goingOn(earlier *cutShort, began time.Time, building *dir.Dir) tree.Options {
	switch {
	case earlier == nil:
	case c.live:
		return tree.Options{ChangedSince: earlier.began.Add(-clockStep)}
	default:
		return tree.Options{}
	}
	return tree.Options{Resumable: func() error { return copyNote{c.id, began}.write(building) }}
}

// cutShort is what a copy has left that was cut short.
type cutShort struct {
	began time.Time
	bytes int64
}

// cutShort looks for an earlier copy of the original that can be gone on with, nil if
// there is none.
func (c *original) cutShort(ctx context.Context, j *longJob, path string) (*cutShort, error) {
	building, err := c.root.Sub(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer building.Close()
	note := readCopyNote(building)
	if note == nil || note.Source != c.id {
		return nil, nil
	}
	data, err := building.Sub(dataDir)
	if err != nil {
		return nil, err
	}
	defer data.Close()
	size, err := tree.Measure(ctx, data, j.begin(Measuring, tree.Size{}, c.retiredErr), nil)
	return &cutShort{note.Began, size.Bytes}, err
}

// held is what it holds already: room that is taken.
func (c *cutShort) held() int64 {
	if c == nil {
		return 0
	}
	return c.bytes
}

// resumePatience is how long what was cut short is kept for whoever asked for it: sidecars
// ask again every five minutes at least.
const resumePatience = 15 * time.Minute

// unfinished is a directory that is kept for a while.
type unfinished struct {
	parent, name string
	since        time.Time
}

// unfinishedFound keeps, or else moves into the trash, what a start finds half built. key
// is what it is locked by.
func (o openDisk) unfinishedFound(parent *dir.Dir, parentName, name, key string) error {
	building, err := parent.Sub(name)
	if err == nil {
		note := readCopyNote(building)
		building.Close()
		if note != nil {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.unfinished[key] = unfinished{parentName, name, time.Now()}
			return nil
		}
	}
	_, err = moveToTrash(o.root, parent, name)
	return err
}

// keeps reports whether what is half built is kept by the name of its lock.
func (d *diskState) keeps(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, kept := d.unfinished[key]
	return kept
}

// resume ends that something is kept: its lock is held.
func (d *diskState) resume(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.unfinished, key)
}

// dropUnfinished moves what nobody has asked for again into the trash.
func (s *Store) dropUnfinished(ctx context.Context, d *diskState) {
	for key, u := range d.unfinishedFor(resumePatience) {
		unlock, err := s.locks.lock(key)
		if err != nil {
			continue // somebody has asked
		}
		j, err := start(ctx, d, change, "clearing away an unfinished copy", func() (struct{}, error) {
			defer unlock()
			return struct{}{}, d.drop(key, u)
		})
		if err == nil {
			_, err = j.wait(ctx)
		} else {
			unlock()
		}
		if err != nil {
			klog.FromContext(ctx).Error(err, "an unfinished copy was not cleared away", "path", d.path+"/"+u.parent+"/"+u.name)
		}
	}
}

func (d *diskState) unfinishedFor(atLeast time.Duration) map[string]unfinished {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := map[string]unfinished{}
	for key, u := range d.unfinished {
		if time.Since(u.since) >= atLeast {
			found[key] = u
		}
	}
	return found
}

// drop is called with the lock of what was being built.
func (d *diskState) drop(key string, u unfinished) error {
	if !d.keeps(key) { // somebody has asked a moment ago
		return nil
	}
	o, err := d.open()
	if err != nil {
		return err
	}
	defer o.close()
	parent, err := o.root.Sub(u.parent)
	if err != nil {
		return err
	}
	defer parent.Close()
	if _, err := moveToTrash(o.root, parent, u.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.resume(key)
	d.wakePurge()
	return nil
}

// ending reports whether hostdir ends: what is at work leaves what it has begun to the
// next start.
func (s *Store) ending() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.running != nil && s.running.Err() != nil
}
