package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"golang.org/x/sys/unix"
)

// Where no quota counts, somebody has to: walk goes through the volumes whose
// capacity is advisory, one after the other, and rests nine times as long as it
// works.
const walkInterval = 5 * time.Minute // from the begin of one round to the next

// walk counts the volumes of a disk that no quota counts.
func (d *diskState) walk(ctx context.Context) {
	var held span
	if err := d.see(&held); err != nil {
		return // the next look says why
	}
	walked := false
	for _, v := range d.list() {
		if v.Quarantine != nil || d.enforces(v) {
			continue
		}
		err := d.walkVolume(ctx, v.Dir)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, errdefs.ErrUnavailable) {
			d.logUncountable(ctx, v, err)
		}
		walked = d.see(&held) == nil
	}
	if walked {
		d.takeStock(held)
	}
}

// walkVolume counts one volume. Links are not followed, mounts not crossed.
func (d *diskState) walkVolume(ctx context.Context, name string) error {
	top := disk.VolumesDir + "/" + name + "/" + dataDir
	usage := Usage{}
	for path := []*walked{{name: top}}; len(path) > 0; {
		at := path[len(path)-1]
		switch {
		case len(at.subdirs) > 0:
			next := at.subdirs[0]
			at.subdirs = at.subdirs[1:]
			path = append(path, &walked{name: at.name + "/" + next})
			continue
		case at.done:
			path = path[:len(path)-1]
			continue
		}
		began := time.Now()
		if err := d.walkOn(at, &usage); err != nil {
			if at.name == top || !isMoved(err) {
				return err
			}
			at.done = true
		}
		if err := rest(ctx, 9*time.Since(began)); err != nil {
			return err
		}
	}
	usage.At = time.Now()
	d.setUsage(name, usage)
	return nil
}

// isMoved reports whether an error means that what was a directory is gone, or
// something else by now.
func isMoved(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// walked is one directory on the walk's current path.
type walked struct {
	name string
	// subdirs are directories in it that the walk has yet to enter. They are few,
	// however many there are: a tenant can make millions.
	subdirs []string
	// offset is where to read on behind them, of use if done is not set.
	offset int64
	done   bool
}

// A step of the walk ends after so many directories, which the walk then goes into
// first, and after so much time, however large the directory is: meanwhile the
// disk is kept open, and nobody can end the walk.
const (
	walkBatch = 128
	walkStep  = 50 * time.Millisecond
)

// walkOn adds up entries of a directory from its offset on.
func (d *diskState) walkOn(at *walked, usage *Usage) error {
	end := d.calls.begin("counting "+at.name, callPatience)
	defer end()
	o, err := d.open()
	if err != nil {
		return err
	}
	defer o.close()
	sub, err := o.root.Sub(at.name)
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENAMETOOLONG) { // a mount; too deep to be reached by a path
		at.done = true
		return nil
	}
	if err != nil {
		return err
	}
	defer sub.Close()
	if at.offset == 0 {
		if err := usage.add(sub, "", unix.AT_EMPTY_PATH); err != nil {
			return err
		}
	} else if _, err := unix.Seek(sub.FD(), at.offset, io.SeekStart); err != nil {
		return sub.Wrap("lseek", ".", err)
	}
	var buf [8 << 10]byte
	for until := time.Now().Add(walkStep); len(at.subdirs) < walkBatch; {
		n, err := unix.Getdents(sub.FD(), buf[:])
		if err != nil {
			return sub.Wrap("getdents64", ".", err)
		}
		if n == 0 {
			at.done = true
			return nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, entry := range names {
			if usage.add(sub, entry, unix.AT_SYMLINK_NOFOLLOW) == errIsDirectory {
				at.subdirs = append(at.subdirs, entry)
			}
		}
		if time.Now().After(until) {
			break
		}
	}
	at.offset, err = unix.Seek(sub.FD(), 0, io.SeekCurrent)
	return sub.Wrap("lseek", ".", err)
}

var errIsDirectory = errors.New("it is a directory, which counts itself")

// add counts one entry. A file with several names counts for each in part.
func (u *Usage) add(d *dir.Dir, entry string, flags int) error {
	var s unix.Stat_t
	if err := unix.Fstatat(d.FD(), entry, &s, flags); err != nil {
		return d.Wrap("fstatat", entry, err)
	}
	links := int64(1)
	if s.Mode&unix.S_IFMT != unix.S_IFDIR {
		links = max(1, int64(s.Nlink))
	} else if entry != "" {
		return errIsDirectory
	}
	u.Bytes += s.Blocks * 512 / links
	u.Inodes++
	return nil
}

// rest keeps background work from taking all of the disk's time.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
