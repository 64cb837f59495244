package store

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Mount is a mount of this node that has to do with a base directory.
type Mount struct {
	// ID is the mount's in the mount table, At where it is.
	ID int
	At string
	// Shows is what of the base directory is mounted there, a path in it; "" if
	// something else is.
	Shows string
	// Lies is where in the base directory At is, "" if outside.
	Lies string
	// Harmless tells that it lets through neither setuid programs nor devices.
	Harmless bool
}

// MountTable tells of the mounts that show something of a base directory or lie
// in it. The store itself knows nothing of mounts.
type MountTable func(base *os.File) ([]Mount, error)

// mounted looks at where volumes are mounted, and at what is mounted in them.
func (c *checker) mounted(b *base) (ok bool) {
	return c.withBase(b, func(b *base, pool *dir) {
		before, err := c.mounts(pool.f)
		wrong := map[Mount][]Finding{}
		for _, m := range before {
			if all := pool.wrongMount(b, m); len(all) > 0 {
				wrong[m] = all
			}
		}
		var after []Mount
		if err == nil && len(wrong) > 0 {
			// A volume that is unmounted and deleted meanwhile is not mounted
			// any more.
			after, err = c.mounts(pool.f)
		}
		if err != nil {
			c.found(cannotRead(b.path, err))
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
func (d *dir) wrongMount(b *base, m Mount) (all []Finding) {
	if m.Lies != "" {
		all = append(all, Finding{
			Kind: MountInside, Path: b.path + "/" + m.Lies,
			What: "something is mounted in the base directory; hostdir goes around it, and cannot remove what is beneath it",
			Do:   "find out who mounted it (findmnt), then umount it",
		})
	}
	parts := strings.SplitN(m.Shows, "/", 3)
	if len(parts) < 2 || parts[0] != volumesDir && parts[0] != trashDir {
		return all
	}
	_, err := d.lstat(parts[0] + "/" + parts[1])
	gone := errors.Is(err, fs.ErrNotExist) || parts[0] == trashDir || slices.Equal(parts[2:], []string{dataDir + deleted})
	switch {
	case gone:
		all = append(all, Finding{
			Kind: OrphanMount, Path: m.At,
			What: "it shows " + b.path + "/" + m.Shows + ", which belongs to no volume any more",
			Do:   "find out who uses it (fuser -m), then umount it",
		})
	case !m.Harmless:
		all = append(all, Finding{
			Kind: UnsafeMount, Path: m.At,
			What: "it shows " + b.path + "/" + m.Shows + " without nosuid and nodev: programs and device files in the volume have power there",
			Do:   "hostdir did not mount it so; find out who did (findmnt), and umount it, or mount it again with nosuid and nodev",
		})
	}
	return all
}
