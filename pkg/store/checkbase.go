package store

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/sysfiles"
)

func (c *checker) configuration() {
	if why := c.store.ConfigError(); why != "" {
		c.found(Finding{
			Kind: ConfigRefused, Path: c.store.configFile,
			Problem: "the file is refused, and the last good configuration in force: " + why,
			Remedy:  "correct it; it is read again within a minute or two, as kubelet brings it",
		})
	}
}

// layout looks at what a disk itself holds.
func (c *checker) layout(o openDisk) {
	space, err := o.root.Space()
	switch {
	case err != nil:
		c.found(cannotRead(o.path, err))
	case space.ReadOnly:
		c.found(Finding{
			Kind: ReadOnly, Path: o.path,
			Problem: "its filesystem is read-only: it takes no volumes, and deletes none",
			Remedy:  "find out why: a filesystem that has met errors turns read-only by itself (dmesg). Remount it read-write once it is sound",
		})
	case space.Inodes > 0 && space.FreeInodes == 0:
		c.found(Finding{
			Kind: NoInodes, Path: o.path,
			Problem: "its filesystem has no free inodes, whatever room is free: nothing new can be made",
			Remedy:  "remove files; `hostdir volumes` and `du --inodes` show who has many",
		})
	}
	names, err := o.root.Names()
	if err != nil {
		c.found(cannotRead(o.path, err))
		return
	}
	c.own(o.root, ".", o.path, 0o700)
	for _, name := range names {
		path := o.path + "/" + name
		switch name {
		case disk.MarkerFile, disk.OwnerFile:
			c.own(o.root, name, path, 0o600)
		case disk.VolumesDir, disk.SnapshotsDir, disk.TrashDir, disk.ClaimsDir:
			c.own(o.root, name, path, 0o700)
		case disk.MarkerNewFile, disk.OwnerNewFile:
			c.leftoverUnlocked(o, name, path)
		default:
			if !sysfiles.Known(name) {
				c.found(foreignFile(path))
			}
		}
	}
	for _, name := range []string{disk.VolumesDir, disk.TrashDir, disk.ClaimsDir} {
		if !slices.Contains(names, name) {
			c.found(missingDirectory(o.root, name, o.path+"/"+name))
		}
	}
}

// leftoverUnlocked reports a copy that nobody is writing just now.
func (c *checker) leftoverUnlocked(o openDisk, name, path string) {
	err := disk.WithMarkerLocked(o.root, func() error {
		_, err := o.root.Lstat(name)
		if err == nil {
			c.found(leftover(o.root, name, path))
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.found(cannotRead(path, err))
	}
}

func missingDirectory(root *dir.Dir, name, path string) Finding {
	f := Finding{Kind: DirectoryMissing, Path: path, Problem: "the directory is gone, which hostdir made and needs"}
	if name == disk.VolumesDir {
		f.Remedy = "all volumes are in it: find out who moved it, and put it back. Never make an empty one in its place"
		return f
	}
	f.Remedy = "make it anew, empty: root's alone (0700)"
	f.fix = func() error { return root.Mkdir(name) }
	return f
}

// own reports an entry that is not root's alone. data directories are not looked
// at: pods may do with theirs what they like.
func (c *checker) own(d *dir.Dir, name, path string, mode uint32) {
	for _, f := range notOwn(d, name, path, mode) {
		c.found(f)
	}
}

func notOwn(d *dir.Dir, name, path string, mode uint32) []Finding {
	s, err := d.Lstat(name)
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
		Problem: fmt.Sprintf("it has mode %04o and owner %d, but must be root's alone: %04o and 0", s.Mode&0o7777, s.Uid, mode),
		Remedy:  fmt.Sprintf("find out who changed it; chown 0:0 and chmod %04o", mode),
		fix: func() error {
			f, err := d.OpenFile(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			return errors.Join(f.Chown(0, 0), d.Wrap("fchmod", name, unix.Fchmod(int(f.Fd()), mode)))
		},
	}}
}

func leftover(d *dir.Dir, name, path string) Finding {
	return Finding{
		Kind: Leftover, Path: path,
		Problem: "a crash left it while a file was being replaced; the whole file is beside it, under its own name",
		Remedy:  "remove it",
		fix:     func() error { return d.Unlink(name) },
	}
}

func foreignFile(path string) Finding {
	return Finding{
		Kind: ForeignFile, Path: path,
		Problem: "it is not hostdir's, which leaves it alone",
		Remedy:  "find out whose it is, and move it out of hostdir's directories",
	}
}

func cannotRead(path string, err error) Finding {
	return Finding{
		Kind: Unreadable, Path: path,
		Problem: "it could not be looked at: " + err.Error(),
		Remedy:  "check again; if it stays, look at the disk (dmesg, smartctl)",
	}
}

// isOutOfReach reports whether an error is about the machine, and says nothing of
// what was looked at.
func isOutOfReach(err error) bool {
	return errors.Is(err, errdefs.ErrUnavailable) || dir.IsUnreadable(err)
}
