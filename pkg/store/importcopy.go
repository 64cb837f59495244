package store

import (
	"context"
	"fmt"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/tree"
)

// copy copies the directory and compares the copy with it.
func (b *importBuild) copy(ctx context.Context) error {
	x, err := b.store.openSource(b.note.Source)
	if err != nil {
		return err
	}
	defer x.close()
	source, err := x.openAs(b.note.Identity, b.mayUse)
	if err != nil {
		return err
	}
	defer source.Close()
	data, done, err := b.target()
	if err != nil {
		return err
	}
	defer done()
	defer data.Close()
	size := tree.Size{Bytes: b.note.Bytes, Files: b.note.Files}
	if _, err := tree.Copy(ctx, source, data, b.job.begin(Copying, size, b.alive), tree.Options{}); err != nil {
		return fmt.Errorf("the copy was not finished: %w", err)
	}
	return tree.Compare(ctx, source, data, b.job.begin(Comparing, size, b.alive))
}

// target opens the directory to copy to, limited as a new volume's. What an earlier order
// has copied is kept if it is limited so.
func (b *importBuild) target() (data *dir.Dir, done func(), err error) {
	if data, err := b.aside.Sub(dataDir); err == nil {
		if b.isLimited(data) {
			return data, func() {}, nil
		}
		data.Close()
		if err := b.startOver(); err != nil {
			return nil, nil, err
		}
	}
	made, done, err := b.openDisk.makeData(b.store.projects, b.aside, b.record)
	if err != nil {
		return nil, nil, err
	}
	if q := made.Quota; q != nil {
		q.Inodes = b.inodes(quota.Limit{Inodes: q.Inodes})
	}
	b.record = made
	err = replaceRecord(b.aside, b.record)
	if err == nil {
		data, err = b.aside.Sub(dataDir)
	}
	if err == nil && made.Quota != nil {
		if err = b.openDisk.setLimit(data, b.record); err != nil {
			data.Close()
		}
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return data, done, nil
}

// startOver leaves a copy's beginning to the purge: filesystems take their time.
func (b *importBuild) startOver() error {
	if err := b.openDisk.clearCopy(b.name); err != nil {
		return err
	}
	aside, err := b.layOut()
	if err != nil {
		return err
	}
	b.aside.Close()
	b.aside = aside
	return nil
}

// isLimited reports whether what was copied so far is limited as the record says.
func (b *importBuild) isLimited(data *dir.Dir) bool {
	limits, _ := b.disk.limiter()
	switch q := b.record.Quota; {
	case q == nil:
		return limits == nil || b.record.Class.Quota == config.QuotaOff
	case limits == nil || limits.Kind() != q.Kind:
		return false
	default:
		limit, _, err := limits.Get(data.File, q.ID)
		return err == nil && limit.Bytes > 0
	}
}
