package store

import (
	"context"
	"errors"
	"io/fs"
)

// trash looks at the deleted volumes that were not removed yet.
func (c *checker) trash(ctx context.Context, b *base) (ok bool) {
	return c.withBase(b, func(b *base, pool *dir) {
		path := b.path + "/" + trashDir
		trash, err := pool.sub(trashDir)
		if errors.Is(err, fs.ErrNotExist) {
			return // layout has said so
		}
		if err != nil {
			c.found(unreadable(path, err))
			return
		}
		defer trash.close()
		names, err := trash.names()
		if err != nil {
			c.found(unreadable(path, err))
			return
		}
		for _, name := range names {
			if ctx.Err() != nil {
				return
			}
			if r, ok := trash.trashed(name); ok {
				c.ownLimit(ctx, limitOwner{base: b, path: trashDir + "/" + name}, r)
			}
		}
	})
}

// trashed reads the record of a volume in the trash that has its data still.
func (d *dir) trashed(name string) (r Record, ok bool) {
	sub, err := d.sub(name)
	if err != nil {
		return Record{}, false
	}
	defer sub.close()
	r, err = sub.readAnyRecord()
	if err == nil {
		_, err = sub.lstat(dataDir)
	}
	return r, err == nil
}
