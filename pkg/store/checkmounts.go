package store

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
)

// MountTable returns the mounts that show something of a disk or lie in its directory. The store itself knows nothing of mounts.
type MountTable func(base *os.File) ([]dir.Mount, error)

// mounted looks at where volumes are mounted, and at what is mounted in them.
func (c *checker) mounted(d *diskState) (ok bool) {
	return c.withDisk(d, func(o openDisk) {
		before, err := c.mounts(o.root.File)
		wrong := map[dir.Mount][]Finding{}
		for _, m := range before {
			if all := o.wrongMount(m); len(all) > 0 {
				wrong[m] = all
			}
		}
		var after []dir.Mount
		if err == nil && len(wrong) > 0 {
			// A volume that is unmounted and deleted meanwhile is not mounted
			// any more.
			after, err = c.mounts(o.root.File)
		}
		if err != nil {
			c.found(cannotRead(o.path, err))
		}
		for _, m := range after {
			for _, f := range wrong[m] {
				c.found(f)
			}
		}
	})
}

// deleted is what the mount table says of a mount whose directory was removed.
const deleted = "//deleted"

// wrongMount says what is wrong with a mount.
func (o openDisk) wrongMount(m dir.Mount) (all []Finding) {
	if m.Within != "" {
		all = append(all, Finding{
			Kind: MountInside, Path: o.path + "/" + m.Within,
			Problem: "something is mounted in the disk's directory; hostdir goes around it, and cannot remove what is beneath it",
			Remedy:  "find out who mounted it (findmnt), then umount it",
		})
	}
	parts := strings.SplitN(m.Source, "/", 3)
	if len(parts) < 2 || parts[0] != disk.VolumesDir && parts[0] != disk.TrashDir {
		return all
	}
	_, err := o.root.Lstat(parts[0] + "/" + parts[1])
	gone := errors.Is(err, fs.ErrNotExist) || parts[0] == disk.TrashDir || slices.Equal(parts[2:], []string{dataDir + deleted})
	switch {
	case gone:
		all = append(all, Finding{
			Kind: OrphanMount, Path: m.Target,
			Problem: "it shows " + o.path + "/" + m.Source + ", which belongs to no volume any more",
			Remedy:  "find out who uses it (fuser -m), then umount it",
		})
	case !m.Restricted:
		all = append(all, Finding{
			Kind: UnsafeMount, Path: m.Target,
			Problem: "it shows " + o.path + "/" + m.Source + " without nosuid and nodev: programs and device files in the volume have power there",
			Remedy:  "hostdir did not mount it so; find out who did (findmnt), and umount it, or mount it again with nosuid and nodev",
		})
	}
	return all
}
