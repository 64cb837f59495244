package drive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Drive is a running drive.
type Drive struct {
	// Path is the file that stands for the drive: mount it through a loop
	// device.
	Path string
	size int64

	mu      sync.Mutex // guards all below
	content *Image     // with all that was written
	log     Log
	// careless reports that flushes are answered and forgotten.
	careless bool
}

// Start serves a drive with this content until the test ends. A sector is what it
// writes as a whole or not at all, in bytes. Whatever is mounted from the drive
// must be unmounted before the test ends.
func Start(t testing.TB, content *Image, sector int) *Drive {
	t.Helper()
	d := &Drive{
		Path:    filepath.Join(t.TempDir(), "drive"),
		size:    content.size,
		content: content.Clone(),
		log:     Log{first: content.Clone(), sector: sector},
	}
	if err := os.WriteFile(d.Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("/dev/fuse: %v", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=%o,user_id=0,group_id=0", fuse, unix.S_IFREG|0o600)
	if err := unix.Mount("drive", d.Path, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		unix.Close(fuse)
		t.Fatalf("mount a drive at %s: %v", d.Path, err)
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: Go ends the thread
		// Memory for this thread must not be made by writing to a filesystem
		// on this very drive (PR_SET_IO_FLUSHER, prctl(2)).
		// It helps only where memory is short.
		_ = unix.Prctl(unix.PR_SET_IO_FLUSHER, 1, 0, 0, 0)
		err := d.serve(fuse)
		unix.Close(fuse) // whoever waits for an answer gets an error
		done <- err
	}()
	t.Cleanup(func() {
		if err := unmount(d.Path); err != nil {
			t.Errorf("the drive at %s is in use, it goes with this process: %v", d.Path, err)
			return
		}
		if err := <-done; err != nil {
			t.Errorf("the drive at %s: %v", d.Path, err)
		}
	})
	return d
}

// unmount waits for loop devices, which are let go of in the background.
func unmount(path string) error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Unmount(path, unix.UMOUNT_NOFOLLOW)
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		if time.Now().After(deadline) {
			return errors.Join(err, unix.Unmount(path, unix.MNT_DETACH))
		}
	}
}

// Position is how much the drive was told so far, to be used with its Log.
func (d *Drive) Position() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.End()
}

// Log is what the drive was told so far.
func (d *Drive) Log() *Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Log{d.log.first, d.log.sector, slices.Clip(d.log.entries)}
}

// IgnoreFlushes makes the drive a bad one: from now on it answers flushes, and
// what is written after this survives no power cut for sure.
func (d *Drive) IgnoreFlushes() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.careless = true
}

func (d *Drive) read(offset, size int64) []byte {
	data := make([]byte, max(0, min(size, d.size-offset)))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.content.read(offset, data)
	return data
}

func (d *Drive) write(offset int64, data []byte) error {
	return d.do(entry{offset: offset, data: slices.Clone(data)}, int64(len(data)))
}

func (d *Drive) zero(offset, length int64) error {
	return d.do(entry{offset: offset, zeros: length}, length)
}

func (d *Drive) do(e entry, length int64) error {
	if e.offset < 0 || length <= 0 || e.offset > d.size-length {
		return unix.ENOSPC
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e.apply(d.content)
	d.log.entries = append(d.log.entries, e)
	return nil
}

func (d *Drive) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.careless {
		d.log.entries = append(d.log.entries, entry{flush: true})
	}
}
