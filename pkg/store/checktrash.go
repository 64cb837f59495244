package store

import (
	"context"
	"errors"
	"io/fs"
	"slices"
)

// trash looks at the deleted volumes that were not removed yet.
func (c *checker) trash(ctx context.Context, b *base) (ok bool) {
	var files []string
	var err error
	if !c.withBase(b, func(_ *base, pool *dir) { files, err = pool.entries(trashDir) }) {
		return false
	}
	if errors.Is(err, fs.ErrNotExist) {
		return true // layout has said so
	}
	if err != nil {
		c.found(cannotRead(b.path+"/"+trashDir, err))
		return true
	}
	slices.Sort(files)
	for batch := range slices.Chunk(files, checkBatch) {
		ok := c.withBase(b, func(b *base, pool *dir) {
			for _, file := range batch {
				if ctx.Err() != nil {
					return
				}
				if e, ok := parseTrashName(file); ok {
					c.discarded(ctx, b, pool, e)
				} else if _, err := pool.lstat(trashDir + "/" + file); err == nil {
					c.found(foreign(b.path + "/" + trashDir + "/" + file))
				}
			}
		})
		if !ok {
			return false
		}
	}
	return true
}

func (c *checker) discarded(ctx context.Context, b *base, pool *dir, e discarded) {
	path := trashDir + "/" + e.file
	r, err := pool.readDiscarded(e)
	if err == nil {
		c.ownLimit(ctx, limitOwner{base: b, path: path}, r)
	}
	f := Finding{Path: b.path + "/" + path, Claim: r.Claim}
	b.mu.Lock()
	f.VolumeID = VolumeID{Base: b.uuid, Name: e.name}.String()
	stuck := b.whyStuck[e.doomedName()]
	b.mu.Unlock()
	switch {
	case err != nil && !e.isDoomed():
		f.Kind = TrashUnreadable
		f.What = "a deleted volume cannot be brought back, and stays until somebody removes it: " + err.Error()
		f.Do = "copy what is still needed from it, then run `hostdir purge " + e.file + "`"
	case stuck != nil:
		f.Kind = TrashStuck
		f.What = "a deleted volume cannot be removed: " + stuck.Error()
		f.Do = "put right what the reason names; it is tried again each minute"
	default:
		return
	}
	// Not what was brought back, purged or marked for that meanwhile.
	if _, err := pool.lstat(path); err == nil {
		c.found(f)
	}
}

// entries lists a directory beneath d.
func (d *dir) entries(name string) ([]string, error) {
	sub, err := d.sub(name)
	if err != nil {
		return nil, err
	}
	defer sub.close()
	return sub.names()
}
