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
	for waiting := []string{top}; len(waiting) > 0; {
		name := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		began := time.Now()
		below, err := b.walkDirectory(name, &count)
		if err != nil && (name == top || !errors.Is(err, fs.ErrNotExist)) { // removed meanwhile
			return err
		}
		waiting = append(waiting, below...)
		if err := rest(ctx, 9*time.Since(began)); err != nil {
			return err
		}
	}
	count.At = time.Now()
	b.setCount(id.Name, count)
	return nil
}

// walkDirectory adds up the entries of one directory and returns those that are
// directories. It is opened for this call alone: a walk takes long, and must not
// keep the admin from unmounting the disk.
func (b *base) walkDirectory(name string, count *Count) (below []string, err error) {
	pool, err := b.open()
	if err != nil {
		return nil, err
	}
	defer pool.close()
	d, err := pool.sub(name)
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENAMETOOLONG) { // a mount; too deep to be reached by a path
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.close()
	if err := count.add(d, "", unix.AT_EMPTY_PATH); err != nil {
		return nil, err
	}
	for {
		names, err := d.f.Readdirnames(removeBatch)
		if err == io.EOF {
			return below, nil
		}
		if err != nil {
			return nil, err
		}
		for _, entry := range names {
			if count.add(d, entry, unix.AT_SYMLINK_NOFOLLOW) == errIsDirectory {
				below = append(below, name+"/"+entry)
			}
		}
	}
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
