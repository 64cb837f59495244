package dir

import "golang.org/x/sys/unix"

// Requests of ioctl(2), see linux/btrfs.h.
const (
	btrfsStartSync = 0x80089418 // BTRFS_IOC_START_SYNC: the answer is which transaction to wait for
	btrfsWaitSync  = 0x40089416 // BTRFS_IOC_WAIT_SYNC: until that one is committed
)

// Sync makes the names in d survive a power cut, and d's own mode and owner.
//
// On btrfs fsync(2) of a directory does not see to that: it writes a log, and leaves out
// names that came while another call had the directory logged. Seen on Linux 6.18: of two
// volumes that were made at a time one was gone after a power cut, though its fsync had
// returned. A transaction has them all, and does not wait for what pods have written. After
// it fsync has nothing to write; it fails if the transaction did, which older kernels do not
// tell who waits for that.
func (d *Dir) Sync() error {
	var stat unix.Statfs_t
	if err := unix.Fstatfs(d.FD(), &stat); err != nil {
		return d.Wrap("statfs", ".", err)
	}
	if stat.Type == unix.BTRFS_SUPER_MAGIC {
		if err := d.commit(); err != nil {
			return err
		}
	}
	return d.File.Sync()
}

// commit waits for btrfs's transaction.
func (d *Dir) commit() error {
	var transaction uint64
	if err := d.ioctl(btrfsStartSync, &transaction); err != nil {
		return err
	}
	return d.ioctl(btrfsWaitSync, &transaction)
}

// SyncSub syncs a directory beneath d.
func (d *Dir) SyncSub(name string) error {
	sub, err := d.Sub(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	return sub.Sync()
}
