package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// Where no quota counts, somebody has to: walk looks through the volumes whose
// capacity is advisory, one after the other, and rests nine times as long as it
// works.
const (
	walkInterval = 10 * time.Second // how often to look for volumes to walk
	walkAge      = 5 * time.Minute  // after which a count is old
)

func (s *Store) walk(ctx context.Context) {
	for tick := time.Tick(walkInterval); ; {
		for _, b := range s.snapshot() {
			for _, v := range b.list() {
				if v.Quota != nil || v.Quarantine != nil || !v.Count.At.IsZero() && time.Since(v.Count.At) < walkAge {
					continue
				}
				if err := b.walkVolume(ctx, v.ID); err != nil && ctx.Err() == nil && !errors.Is(err, fs.ErrNotExist) {
					klog.FromContext(ctx).Error(err, "what the volume holds is not known", "volumeID", v.ID)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
	}
}

// walkVolume counts one volume. Links are not followed, mounts not crossed.
func (b *base) walkVolume(ctx context.Context, volumeID string) error {
	id, err := ParseVolumeID(volumeID)
	if err != nil {
		return err
	}
	top := volumesDir + "/" + id.Name + "/" + dataDir
	count := Count{}
	for path := []*walked{{name: top}}; len(path) > 0; {
		at := path[len(path)-1]
		switch {
		case len(at.below) > 0:
			next := at.below[0]
			at.below = at.below[1:]
			path = append(path, &walked{name: at.name + "/" + next})
			continue
		case at.done:
			path = path[:len(path)-1]
			continue
		}
		began := time.Now()
		if err := b.walkOn(at, &count); err != nil {
			if at.name == top || !isMoved(err) {
				return err
			}
			at.done = true
		}
		if err := rest(ctx, 9*time.Since(began)); err != nil {
			return err
		}
	}
	count.At = time.Now()
	b.setCount(id.Name, count)
	return nil
}

// isMoved tells whether an error means that what was a directory is gone, or
// something else by now.
func isMoved(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// walked is a directory on the way from the top of a walk to where it is.
type walked struct {
	name string
	// below are directories in it that the walk has yet to enter. They are few,
	// however many there are: a tenant can make millions.
	below []string
	// position is where to read on behind them, of use if done is not set.
	position int64
	done     bool
}

// walkBatch is after how many directories in one the walk goes into those first.
const walkBatch = 128

// walkOn adds up the entries of a directory from its position on, until it has
// come by some that are directories. The directory is opened for this call alone:
// a walk takes long, and must not keep the admin from unmounting the disk.
func (b *base) walkOn(at *walked, count *Count) error {
	pool, err := b.open()
	if err != nil {
		return err
	}
	defer pool.close()
	d, err := pool.sub(at.name)
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENAMETOOLONG) { // a mount; too deep to be reached by a path
		at.done = true
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	if at.position == 0 {
		if err := count.add(d, "", unix.AT_EMPTY_PATH); err != nil {
			return err
		}
	} else if _, err := unix.Seek(d.fd(), at.position, io.SeekStart); err != nil {
		return d.wrap("lseek", ".", err)
	}
	var buf [8 << 10]byte
	for len(at.below) < walkBatch {
		n, err := unix.Getdents(d.fd(), buf[:])
		if err != nil {
			return d.wrap("getdents64", ".", err)
		}
		if n == 0 {
			at.done = true
			return nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, entry := range names {
			if count.add(d, entry, unix.AT_SYMLINK_NOFOLLOW) == errIsDirectory {
				at.below = append(at.below, entry)
			}
		}
	}
	at.position, err = unix.Seek(d.fd(), 0, io.SeekCurrent)
	return d.wrap("lseek", ".", err)
}

var errIsDirectory = errors.New("it is a directory, which counts itself")

// add counts one entry. A file with several names counts for each in part.
func (c *Count) add(d *dir, entry string, flags int) error {
	var s unix.Stat_t
	if err := unix.Fstatat(d.fd(), entry, &s, flags); err != nil {
		return d.wrap("fstatat", entry, err)
	}
	links := int64(1)
	if s.Mode&unix.S_IFMT != unix.S_IFDIR {
		links = max(1, int64(s.Nlink))
	} else if entry != "" {
		return errIsDirectory
	}
	c.Bytes += s.Blocks * 512 / links
	c.Inodes++
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
