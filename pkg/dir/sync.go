package dir

import (
	"cmp"
	"time"

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
	transaction, err := d.startCommit()
	if err != nil {
		return err
	}
	return d.ioctl(btrfsWaitSync, &transaction)
}

// nudgeAfter is how long a commit may take to begin before btrfs is asked for it again.
const nudgeAfter = 20 * time.Millisecond

// startCommit returns a transaction that has begun to commit, and has all that was in d.
//
// btrfs's thread that commits does not hear of a request that comes while it ends another
// transaction, and then sleeps for as long as the mount option commit says, half a minute
// (transaction_kthread, seen on Linux 6.18; of two calls at a time one in thirty hung). It is
// woken by another request. Those to a disk that hangs do not return either: they come ever
// less often, so that they are few. All are waited for, as they use d.
func (d *Dir) startCommit() (transaction uint64, err error) {
	type answer struct {
		transaction uint64
		err         error
	}
	answers := make(chan answer)
	waiting := 0
	request := func() {
		waiting++
		go func() {
			var a answer
			a.err = d.ioctl(btrfsStartSync, &a.transaction)
			answers <- a
		}()
	}
	request()
	for pause := nudgeAfter; waiting > 0; {
		select {
		case a := <-answers:
			waiting--
			transaction, err = max(transaction, a.transaction), cmp.Or(err, a.err)
		case <-time.After(pause):
			pause *= 2
			request()
		}
	}
	return transaction, err
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
