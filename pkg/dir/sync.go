package dir

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

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
// returned. A transaction has them all, and does not wait for what pods have written.
func (d *Dir) Sync() error {
	var stat unix.Statfs_t
	if err := unix.Fstatfs(d.FD(), &stat); err != nil {
		return d.Wrap("statfs", ".", err)
	}
	if stat.Type != unix.BTRFS_SUPER_MAGIC {
		return d.File.Sync()
	}
	var transaction uint64
	for _, request := range []uintptr{btrfsStartSync, btrfsWaitSync} {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.FD()), request, uintptr(unsafe.Pointer(&transaction))); errno != 0 {
			return d.Wrap("ioctl", ".", errno)
		}
	}
	return nil
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
