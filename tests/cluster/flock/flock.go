// Package flock locks folders, so that two commands do not change the same one at a time. A lock is the kernel's,
// and ends with the process that holds it.
package flock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Folder makes the folder if need be and locks it. waiting is called when another process has the lock.
func Folder(dir string, waiting func()) (unlock func(), err error) {
	for {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		f, err := os.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			waiting()
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		// Whoever had the lock may have removed the folder: then the one we locked is not the one that is there now.
		locked, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		if now, err := os.Stat(dir); err == nil && os.SameFile(locked, now) {
			return func() { f.Close() }, nil
		}
		f.Close()
	}
}
