package store

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

func (c *checker) configuration() {
	if why := c.store.ConfigError(); why != "" {
		c.found(Finding{
			Kind: ConfigRefused, Path: c.store.configFile,
			What: "the file is refused, and the last good configuration in force: " + why,
			Do:   "correct it; it is read again within a minute or two, as kubelet brings it",
		})
	}
}

func (c *checker) unusable(b *base, err error) {
	why := strings.TrimPrefix(err.Error(), b.unavailable(errors.New("")).Error())
	c.found(Finding{
		Kind: BaseUnusable, Path: b.path,
		What: "the base directory cannot be used, and its volumes were not looked at: " + why,
		Do:   "put right what the reason names; hostdir looks again every " + refreshInterval.String(),
	})
}

// layout looks at what a base directory itself holds.
func (c *checker) layout(b *base, pool *dir) {
	room, err := pool.room()
	switch {
	case err != nil:
		c.found(cannotRead(b.path, err))
	case room.readOnly:
		c.found(Finding{
			Kind: ReadOnly, Path: b.path,
			What: "its filesystem is read-only: it takes no volumes, and deletes none",
			Do:   "find out why: a filesystem that has met errors turns read-only by itself (dmesg). Remount it read-write once it is sound",
		})
	case room.inodes > 0 && room.freeInodes == 0:
		c.found(Finding{
			Kind: NoInodes, Path: b.path,
			What: "its filesystem has no free inodes, whatever room is free: nothing new can be made",
			Do:   "remove files; `hostdir volumes` and `du --inodes` show who has many",
		})
	}
	names, err := pool.names()
	if err != nil {
		c.found(cannotRead(b.path, err))
		return
	}
	c.own(pool, ".", b.path, 0o700)
	for _, name := range names {
		path := b.path + "/" + name
		switch name {
		case markerFile:
			c.own(pool, name, path, 0o600)
		case volumesDir, trashDir, claimsDir:
			c.own(pool, name, path, 0o700)
		case markerNewFile: // nobody writes the marker of a pool that is in use
			c.found(leftover(pool, name, path))
		case "lost+found": // of mkfs.ext4
		default:
			c.found(foreign(path))
		}
	}
	for _, name := range []string{volumesDir, trashDir, claimsDir} {
		if !slices.Contains(names, name) {
			c.found(missingDirectory(pool, name, b.path+"/"+name))
		}
	}
}

func missingDirectory(pool *dir, name, path string) Finding {
	f := Finding{Kind: DirectoryMissing, Path: path, What: "the directory is gone, which hostdir made and needs"}
	if name == volumesDir {
		f.Do = "all volumes are in it: find out who moved it, and put it back. Never make an empty one in its place"
		return f
	}
	f.Do = "make it anew, empty: root's alone (0700)"
	f.mend = func() error { return pool.mkdir(name) }
	return f
}

// own reports an entry that is not root's alone. data directories are not looked
// at: pods may do with theirs what they like.
func (c *checker) own(d *dir, name, path string, mode uint32) {
	for _, f := range notOwn(d, name, path, mode) {
		c.found(f)
	}
}

func notOwn(d *dir, name, path string, mode uint32) []Finding {
	s, err := d.lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return []Finding{cannotRead(path, err)}
	case s.Mode&0o7777 == mode && s.Uid == 0:
		return nil
	}
	return []Finding{{
		Kind: WrongMode, Path: path,
		What: fmt.Sprintf("it has mode %04o and owner %d, but must be root's alone: %04o and 0", s.Mode&0o7777, s.Uid, mode),
		Do:   fmt.Sprintf("find out who changed it; chown 0:0 and chmod %04o", mode),
		mend: func() error {
			f, err := d.open(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			return errors.Join(f.Chown(0, 0), d.wrap("fchmod", name, unix.Fchmod(int(f.Fd()), mode)))
		},
	}}
}

// lstat tells of an entry itself, be it a link.
func (d *dir) lstat(name string) (unix.Stat_t, error) {
	var s unix.Stat_t
	err := unix.Fstatat(d.fd(), name, &s, unix.AT_SYMLINK_NOFOLLOW)
	return s, d.wrap("fstatat", name, err)
}

func leftover(d *dir, name, path string) Finding {
	return Finding{
		Kind: Leftover, Path: path,
		What: "a crash left it while a file was being replaced; the whole file is beside it, under its own name",
		Do:   "remove it",
		mend: func() error { return d.unlink(name) },
	}
}

func foreign(path string) Finding {
	return Finding{
		Kind: ForeignFile, Path: path,
		What: "it is not hostdir's, which leaves it alone",
		Do:   "find out whose it is, and move it out of hostdir's directories",
	}
}

func cannotRead(path string, err error) Finding {
	return Finding{
		Kind: Unreadable, Path: path,
		What: "it could not be looked at: " + err.Error(),
		Do:   "check again; if it stays, look at the disk (dmesg, smartctl)",
	}
}

// sums compares what is promised and used with the volumes.
func (c *checker) sums(b *base) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var promised, used int64
	for _, v := range b.volumes {
		promised += v.promised()
		used += v.Count.Bytes
	}
	if b.promised-b.pending == promised && b.used == used {
		return
	}
	c.found(Finding{
		Kind: WrongSums, Path: b.path,
		What: fmt.Sprintf("the plugin goes by %s promised and %s used, but its volumes have %s and %s",
			formatSize(b.promised-b.pending), formatSize(b.used), formatSize(promised), formatSize(used)),
		Do: "report it, it is a bug of hostdir; a restart of its pod counts anew",
		mend: func() error {
			b.promised, b.used = promised+b.pending, used
			return nil
		},
	})
}

// outOfReach tells an error of the machine from one of what was looked at.
func outOfReach(err error) bool {
	return errors.Is(err, errdefs.ErrUnavailable) ||
		slices.ContainsFunc([]error{unix.EIO, unix.EUCLEAN, unix.EMFILE, unix.ENFILE, unix.ENOMEM}, func(errno error) bool { return errors.Is(err, errno) })
}
