package store

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/hostdir/hostdir/pkg/disk"
)

// trash looks at the deleted volumes that were not removed yet.
func (c *checker) trash(ctx context.Context, d *diskState) (ok bool) {
	var files []string
	var err error
	if !c.withDisk(d, func(o openDisk) { files, err = o.root.NamesIn(disk.TrashDir) }) {
		return false
	}
	if errors.Is(err, fs.ErrNotExist) {
		return true // layout has said so
	}
	if err != nil {
		c.found(cannotRead(d.path+"/"+disk.TrashDir, err))
		return true
	}
	slices.Sort(files)
	for batch := range slices.Chunk(files, checkBatch) {
		ok := c.withDisk(d, func(o openDisk) {
			for _, file := range batch {
				if ctx.Err() != nil {
					return
				}
				if e, ok := parseEntry(file); ok {
					c.deleted(ctx, o, e)
				} else if _, err := o.root.Lstat(disk.TrashDir + "/" + file); err == nil {
					c.found(foreignFile(d.path + "/" + disk.TrashDir + "/" + file))
				}
			}
		})
		if !ok {
			return false
		}
	}
	return true
}

func (c *checker) deleted(ctx context.Context, o openDisk, e entry) {
	path := disk.TrashDir + "/" + e.file
	r, err := readDeleted(o.root, e)
	if err == nil {
		c.ownLimit(limitOwner{disk: o.diskState, path: path}, r)
	}
	f := Finding{Path: o.path + "/" + path, Claim: r.Claim, VolumeID: o.volumeID(e.name).String()}
	var purgeErr error
	o.updateTrashed(e.trashID(), func(t *trashed) { purgeErr = t.purgeErr })
	switch {
	case err != nil && !e.isPurging():
		f.Kind = TrashUnreadable
		f.Problem = "a deleted volume cannot be brought back, and stays until somebody removes it: " + err.Error()
		f.Remedy = "copy what is still needed from it, then run `hostdir purge " + e.file + "`"
	case purgeErr != nil:
		f.Kind = TrashStuck
		f.Problem = "a deleted volume cannot be removed: " + purgeErr.Error()
		f.Remedy = "put right what the reason names; it is tried again each minute"
	default:
		return
	}
	// Not what was brought back, purged or marked for that meanwhile.
	if _, err := o.root.Lstat(path); err == nil {
		c.found(f)
	}
}
