package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"unsafe"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

// removeVolume removes a volume's directory, or what there is of it. The record
// goes last: while it is there, one knows whose files these were, and the ID that
// it names is given to nobody else.
func (b *base) removeVolume(ctx context.Context, parent *dir, name string) error {
	volume, err := parent.sub(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		err = b.removeData(ctx, volume)
		volume.close()
		if err != nil {
			return err
		}
	}
	return parent.removeTree(ctx, name)
}

// clearAway removes what was half built. Where the filesystem takes its time
// with that, the purge sees to the rest.
func (b *base) clearAway(ctx context.Context, pool, volumes *dir, building string) error {
	err := b.removeVolume(ctx, volumes, building)
	if errors.Is(err, errdefs.ErrBusy) {
		return pool.moveToTrash(volumes, building)
	}
	return err
}

// removeData removes the data of a volume, and then its limit.
func (b *base) removeData(ctx context.Context, volume *dir) error {
	r, err := volume.readAnyRecord()
	if err = unreadable(err); errors.Is(err, errdefs.ErrUnavailable) {
		return err // the record may be read another time, and tell of a limit
	}
	limits, _ := b.limiter()
	if err != nil || r.Quota == nil || limits.Kind() != r.Quota.Kind {
		return volume.removeTree(ctx, dataDir) // what cannot be known of a limit cannot be given back
	}
	if data, err := volume.sub(dataDir); err == nil {
		// At its limit, btrfs has no room even to remove what is in it.
		err = limits.Set(data.f, r.Quota.ID, quota.Limit{})
		data.close()
		if err != nil {
			klog.FromContext(ctx).V(4).Info("limit not lifted before the purge", "volumeID", r.ID, "reason", err.Error())
		}
	}
	if err := volume.removeTree(ctx, dataDir); err != nil {
		return err
	}
	if b.hasLimit(*r.Quota) {
		return nil // a crash came after the next line, and the ID is another volume's by now
	}
	return limits.Remove(volume.f, r.Quota.ID)
}

// hasLimit tells whether a volume is known by this quota.
func (b *base) hasLimit(q Quota) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, v := range b.volumes {
		if v.Quota != nil && *v.Quota == q {
			return true
		}
	}
	return false
}

const (
	// maxDepth bounds how many descriptors removeTree holds. Deeper
	// directories are first moved up, so that any depth can be removed.
	maxDepth = 64
	// removeBatch is how many entries of a directory are read at a time.
	removeBatch = 1024
)

// removeTree removes an entry of d and all that is beneath it. It never follows
// a symbolic link, whoever swaps one in meanwhile, and stops at a mount. When the
// context ends it stops too, but has removed something by then: repeated calls
// come to an end, however short each is.
func (d *dir) removeTree(ctx context.Context, name string) error {
	isDir, err := d.removeLeaf(name)
	if err != nil || !isDir {
		return err
	}
	top, err := d.sub(name)
	if err != nil {
		return err
	}
	defer top.close()
	if err := top.makeWritable(); err != nil {
		return err
	}
	if err := top.removeContent(ctx, top, 1); err != nil {
		return err
	}
	return d.rmdir(name)
}

// removeLeaf removes an entry unless it is a directory.
func (d *dir) removeLeaf(name string) (isDir bool, err error) {
	err = d.unlink(name)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, unix.EISDIR):
		return true, nil
	case errors.Is(err, unix.EBUSY):
		return false, fmt.Errorf("%w: a file is mounted on it; unmount it, the rest is removed then", err)
	case errors.Is(err, unix.EPERM): // root may remove anything else
		return false, fmt.Errorf("%w: it, or its directory, is immutable or append-only (see lsattr); chattr -i -a lets the rest be removed", err)
	default:
		return false, err
	}
}

// removeContent empties d, which is depth levels below top.
func (d *dir) removeContent(ctx context.Context, top *dir, depth int) error {
	for {
		if _, err := d.f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		names, err := d.f.Readdirnames(removeBatch)
		if err != nil && err != io.EOF {
			return err
		}
		if len(names) == 0 {
			return nil
		}
		for _, name := range names {
			if err := d.removeEntry(ctx, name, top, depth); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
}

func (d *dir) removeEntry(ctx context.Context, name string, top *dir, depth int) error {
	isDir, err := d.removeLeaf(name)
	if err != nil || !isDir {
		return err
	}
	if depth >= maxDepth {
		return d.renameTo(name, top, "deep."+uuid.NewString())
	}
	sub, err := d.sub(name)
	if errors.Is(err, unix.EXDEV) {
		return fmt.Errorf("%s is a mount: unmount it, the rest is removed then", d.path(name))
	}
	if err != nil {
		return err
	}
	if sub.device() != d.device() { // a subvolume of btrfs: nothing can be moved out of it
		top, depth = sub, 0
		if err := sub.makeWritable(); err != nil {
			sub.close()
			return err
		}
	}
	err = sub.removeContent(ctx, top, depth+1)
	sub.close()
	if err != nil {
		return err
	}
	return d.rmdir(name)
}

// Requests of ioctl(2) for a subvolume's flags, see linux/btrfs.h.
const (
	btrfsGetFlags = 0x80089419 // BTRFS_IOC_SUBVOL_GETFLAGS
	btrfsSetFlags = 0x4008941a // BTRFS_IOC_SUBVOL_SETFLAGS
	btrfsReadOnly = 1 << 1     // BTRFS_SUBVOL_RDONLY
)

// makeWritable lets a subvolume be emptied that a tenant has made read-only, as
// snapshots can be.
func (d *dir) makeWritable() error {
	var flags uint64
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.fd()), btrfsGetFlags, uintptr(unsafe.Pointer(&flags))); errno != 0 || flags&btrfsReadOnly == 0 {
		return nil // not a subvolume, or writable
	}
	flags &^= btrfsReadOnly
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.fd()), btrfsSetFlags, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return d.wrap("ioctl", ".", errno)
	}
	return nil
}
