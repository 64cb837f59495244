package unsynced

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Calls are the system calls that strace must show: all that change files.
// Of those whose work is not known here none may touch the model's directory.
var Calls = append(slices.Sorted(maps.Keys(effects)),
	"fsync", "syncfs", "creat", "copy_file_range", "fallocate", "fchmodat2", "fdatasync", "fremovexattr", "fsetxattr", "linkat", "link",
	"lremovexattr", "lsetxattr", "mknod", "mknodat", "pwritev", "pwritev2", "removexattr", "sendfile", "setxattr",
	"splice", "sync", "sync_file_range", "truncate")

// effects are what system calls do to the model.
var effects = map[string]func(*Model, call) error{
	"open":      func(m *Model, c call) error { return m.open(c, c.text(0), 1) },
	"openat":    func(m *Model, c call) error { return m.open(c, c.at(0, 1), 2) },
	"openat2":   func(m *Model, c call) error { return m.open(c, c.at(0, 1), 2) },
	"mkdir":     func(m *Model, c call) error { return m.make(c.text(0), true) },
	"mkdirat":   func(m *Model, c call) error { return m.make(c.at(0, 1), true) },
	"symlink":   func(m *Model, c call) error { return m.make(c.text(1), false) },
	"symlinkat": func(m *Model, c call) error { return m.make(c.at(1, 2), false) },
	"unlink":    func(m *Model, c call) error { return m.remove(c.text(0)) },
	"rmdir":     func(m *Model, c call) error { return m.remove(c.text(0)) },
	"unlinkat":  func(m *Model, c call) error { return m.remove(c.at(0, 1)) },
	"rename":    func(m *Model, c call) error { return m.rename(c, c.text(0), c.text(1)) },
	"renameat":  func(m *Model, c call) error { return m.rename(c, c.at(0, 1), c.at(2, 3)) },
	"renameat2": func(m *Model, c call) error { return m.rename(c, c.at(0, 1), c.at(2, 3)) },
	"write":     func(m *Model, c call) error { return m.change(c.descriptor(0), "content") },
	"writev":    func(m *Model, c call) error { return m.change(c.descriptor(0), "content") },
	"pwrite64":  func(m *Model, c call) error { return m.change(c.descriptor(0), "content") },
	"ftruncate": func(m *Model, c call) error { return m.change(c.descriptor(0), "content") },
	"fchmod":    func(m *Model, c call) error { return m.change(c.descriptor(0), "mode") },
	"fchown":    func(m *Model, c call) error { return m.change(c.descriptor(0), "owner") },
	"chmod":     func(m *Model, c call) error { return m.change(c.text(0), "mode") },
	"chown":     func(m *Model, c call) error { return m.change(c.text(0), "owner") },
	"fchmodat":  func(m *Model, c call) error { return m.change(c.at(0, 1), "mode") },
	"fchownat":  func(m *Model, c call) error { return m.change(c.at(0, 1), "owner") },
	"utimensat": func(m *Model, c call) error { return m.date(c.at(0, 1)) },
	"ioctl":     (*Model).ioctl,
}

// date changes the times of a file. Those of a disk's owner.json say who runs now, and
// nothing after a power cut.
func (m *Model) date(name string) error {
	if path.Base(name) == "owner.json" {
		return nil
	}
	return m.change(name, "times")
}

// harmless is in the names of requests of ioctl(2) that change no file: they only
// read, or are about quotas, which a start sets again, or make more last than is asked for.
var harmless = []string{"_IOC(_IOC_READ,", "_GET", "GETXATTR", "_INFO", "INO_LOOKUP", "TREE_SEARCH", "QUOTA", "QGROUP", "_SYNC"}

func (m *Model) ioctl(c call) error {
	dir := c.descriptor(0)
	switch {
	case c.has(1, "SUBVOL_CREATE"):
		return m.make(path.Join(dir, c.field(2, "name")), true)
	case c.has(1, "SNAP_CREATE"):
		return m.snapshot(named(c.field(2, "fd")), path.Join(dir, c.field(2, "name")))
	case c.has(1, "SNAP_DESTROY"):
		return m.remove(path.Join(dir, c.field(2, "name")))
	case c.has(1, "SETXATTR"), c.has(1, "SETFLAGS"):
		return m.change(dir, "attributes")
	}
	if _, inside := m.find(dir); inside && !slices.ContainsFunc(harmless, func(part string) bool { return c.has(1, part) }) {
		return fmt.Errorf("it is not known what ioctl %s does to %s", c.args[1], dir)
	}
	return nil
}

func (m *Model) open(c call, name string, flags int) error {
	n, inside := m.find(name)
	switch {
	case inside && n == nil && c.has(flags, "O_CREAT"):
		return m.make(name, false)
	case inside && n != nil && c.has(flags, "O_TRUNC"):
		return m.change(name, "content")
	}
	return nil
}

// make makes an entry and what it names.
func (m *Model) make(name string, dir bool) error {
	parent, inside := m.find(path.Dir(name))
	if !inside {
		return nil
	}
	if parent == nil || !parent.isDir() || parent.entries[path.Base(name)] != nil {
		return fmt.Errorf("%s cannot be made: is there another system call that was not seen?", name)
	}
	parent.entries[path.Base(name)] = newNode(dir)
	return nil
}

// snapshot makes a snapshot of a subvolume, of which btrfs commits all that it shows. Its
// name is an entry like others.
func (m *Model) snapshot(of, name string) error {
	if err := m.make(name, true); err != nil {
		return err
	}
	from, _ := m.find(of)
	if n, inside := m.find(name); inside && from != nil {
		*n = *from.copied()
	}
	return nil
}

// copied is a copy of a node and of all below it, synced.
func (n *node) copied() *node {
	c := newNode(n.isDir())
	for name, child := range n.entries {
		c.entries[name] = child.copied()
	}
	c.synced = maps.Clone(c.entries)
	return c
}

func (m *Model) remove(name string) error {
	parent, inside := m.find(path.Dir(name))
	if !inside {
		return nil
	}
	if parent == nil || parent.entries[path.Base(name)] == nil {
		return fmt.Errorf("%s cannot be removed: is there another system call that was not seen?", name)
	}
	delete(parent.entries, path.Base(name))
	return nil
}

func (m *Model) rename(c call, from, to string) error {
	n, inside := m.find(from)
	if _, there := m.find(to); inside != there || slices.ContainsFunc(c.args, func(arg string) bool { return strings.Contains(arg, "RENAME_EXCHANGE") }) {
		return fmt.Errorf("it is not known what becomes of %s as %s", from, to)
	}
	if !inside {
		return nil
	}
	parent, _ := m.find(path.Dir(to))
	if n == nil || parent == nil {
		return fmt.Errorf("%s cannot become %s: is there another system call that was not seen?", from, to)
	}
	old, _ := m.find(path.Dir(from))
	delete(old.entries, path.Base(from))
	parent.entries[path.Base(to)] = n
	return nil
}

func (m *Model) change(name, what string) error {
	if n, _ := m.find(name); n != nil {
		n.changed[what] = m.now
	}
	return nil
}

// sync begins to sync a file or directory. What it returns ends that.
func (m *Model) sync(name string) (done func()) {
	n, _ := m.find(name)
	if n == nil {
		return func() {}
	}
	began, entries := m.now, maps.Clone(n.entries)
	return func() {
		maps.DeleteFunc(n.changed, func(_ string, at int) bool { return at <= began })
		if n.isDir() && began >= n.syncedAt { // else one that has begun later is done already
			n.synced, n.syncedAt = entries, began
		}
	}
}

// syncAll begins to sync a whole filesystem, if the model's directory is on it: a path
// below that says so.
func (m *Model) syncAll(name string) (done func()) {
	if _, inside := m.find(name); !inside {
		return func() {}
	}
	var all []func()
	var each func(path string, n *node)
	each = func(path string, n *node) {
		all = append(all, m.sync(path))
		for name, child := range n.entries {
			each(path+"/"+name, child)
		}
	}
	each(m.path, m.root)
	return func() {
		for _, done := range all {
			done()
		}
	}
}
