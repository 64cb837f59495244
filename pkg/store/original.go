package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/tree"
)

// original is what a snapshot is made of, or a volume that begins as a copy: the data of a
// volume or of a snapshot. Its descriptors are held as long as that takes, so that the
// disk cannot be unmounted meanwhile.
type original struct {
	openDisk
	// dir is the directory of the volume or snapshot, called name on the disk, and data
	// what is in it.
	dir, data *dir.Dir
	name      string
	// id is the volume's or snapshot's, origin whose blocks it may have in common.
	id, origin string
	claim      Claim
	// live is whether pods can write to it.
	live bool
	// capacity is what a copy needs at least, held what it was counted to hold, zero if
	// nobody has.
	capacity int64
	held     Usage
}

func (c *original) close() {
	c.data.Close()
	c.dir.Close()
	c.openDisk.close()
}

// openOriginal opens the data of a volume or of a snapshot.
func (d *diskState) openOriginal(id string) (*original, error) {
	if snapshotID, err := ParseSnapshotID(id); err == nil {
		return d.originalOfSnapshot(snapshotID)
	}
	volumeID, err := ParseVolumeID(id)
	if err != nil {
		return nil, err
	}
	v, err := d.find(volumeID)
	if err != nil {
		return nil, err
	}
	c := &original{
		openDisk: v.openDisk, dir: v.dir, name: disk.VolumesDir + "/" + volumeID.Name, id: id, origin: v.record.Origin,
		claim: v.record.Claim, live: true, capacity: v.record.CapacityBytes,
	}
	if c.origin == "" {
		c.origin = id
	}
	if v.enforces(&Volume{Record: v.record}) {
		_ = v.countVolume(volumeID.Name, v.record) // else it is what was counted last
	}
	if known := d.volume(volumeID.Name); known != nil && known.Usage.At.After(v.record.Created) { // not since it was made, empty
		c.held = known.Usage
	}
	if c.data, err = v.data(); err != nil {
		v.close()
		return nil, err
	}
	return c, nil
}

func (d *diskState) originalOfSnapshot(id SnapshotID) (*original, error) {
	x, err := d.findSnapshot(id)
	if err != nil {
		return nil, err
	}
	r := x.record
	c := &original{
		openDisk: x.openDisk, dir: x.dir, name: disk.SnapshotsDir + "/" + id.Name, id: r.ID, origin: r.Origin,
		claim: r.Claim, capacity: r.CapacityBytes, held: Usage{Bytes: r.Bytes, Inodes: r.Files, At: r.Created},
	}
	if c.data, err = openData(x.dir, Record{ID: r.ID, Subvolume: r.Subvolume}); err != nil {
		x.close()
		return nil, unreadable(err)
	}
	return c, nil
}

// holdOriginal is openOriginal as a call on the disk, whose result is kept.
func (d *diskState) holdOriginal(ctx context.Context, id string) (*original, error) {
	j, err := start(ctx, d, change, "a look at "+id, func() (*original, error) { return d.openOriginal(id) })
	if err != nil {
		return nil, err
	}
	c, err := j.wait(ctx)
	if errors.Is(err, errLeftBehind) {
		go func() {
			if <-j.done; j.err == nil {
				j.result.close()
			}
		}()
	}
	return c, err
}

// isThere returns ErrNotFound if the volume or snapshot was deleted meanwhile: then a copy
// of it may have gaps.
func (c *original) isThere() error {
	was, err := c.dir.Inode()
	if err != nil {
		return err
	}
	now, err := c.root.Sub(c.name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s was deleted while it was copied", errdefs.ErrNotFound, c.id)
	}
	if err != nil {
		return unreadable(err)
	}
	defer now.Close()
	if is, err := now.Inode(); err != nil || is != was {
		return errors.Join(err, fmt.Errorf("%w: %s was exchanged while it was copied", errdefs.ErrNotFound, c.id))
	}
	return nil
}

// snapshotData makes data in a directory as a btrfs snapshot of the original. Where that
// cannot be, or would leave out subvolumes that pods have made, the error is
// errors.ErrUnsupported.
func (c *original) snapshotData(to *dir.Dir, readOnly bool) (quota.ID, error) {
	if c.filesystem != btrfsType {
		return 0, fmt.Errorf("%w: %s has no snapshots of its own", errors.ErrUnsupported, c.filesystem)
	}
	if _, err := quota.SubvolumeID(c.data.File); err != nil {
		return 0, err
	}
	nested, err := quota.HoldsSubvolumes(c.data.File)
	if err != nil {
		return 0, err
	}
	if nested {
		return 0, fmt.Errorf("%w: it holds btrfs subvolumes, which a snapshot would leave out", errors.ErrUnsupported)
	}
	return quota.SnapshotSubvolume(to.File, dataDir, c.data.File, readOnly)
}

// copyTo copies the original to a directory and makes that last. Others work meanwhile,
// and may make the original hold more than there is room for: then more is taken, or the
// error is ErrNoSpace.
func (c *original) copyTo(ctx context.Context, to *dir.Dir, j *longJob, room *allocation, how tree.Options) (shared bool, held Usage, err error) {
	place, err := c.copying(ctx)
	if err != nil {
		return false, Usage{}, err
	}
	defer place()
	var w *tree.Watch
	fits := func() error {
		if err := room.grow(w.Bytes.Load()); err != nil {
			return fmt.Errorf("%w: %s holds more than was known when its copy began: %w", errdefs.ErrNoSpace, c.id, err)
		}
		return nil
	}
	w = j.begin(Copying, tree.Size{Bytes: c.held.Bytes, Files: c.held.Inodes}, func() error {
		if err := c.retiredErr(); err != nil {
			return err
		}
		return fits()
	})
	how.Live = c.live
	shared, err = tree.Copy(ctx, c.data, to, w, how)
	if err == nil {
		err = fits()
	}
	if err != nil {
		return false, Usage{}, err
	}
	// There may be a million files.
	if err := to.Wrap("syncfs", ".", unix.Syncfs(to.FD())); err != nil {
		return false, Usage{}, err
	}
	return shared, Usage{Bytes: w.Bytes.Load(), Inodes: w.Files.Load() + 1}, c.isThere()
}

// maxCopies is how many copies a disk is busy with at a time.
const maxCopies = 2

// copying waits for a place among those who copy on a disk.
func (d *diskState) copying(ctx context.Context) (leave func(), err error) {
	select {
	case d.copies <- struct{}{}:
		return func() { <-d.copies }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
