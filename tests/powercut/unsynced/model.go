package unsynced

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// node is a file or directory. A node exists once and may have several names.
type node struct {
	// changed is what was changed of the node itself since it was synced, and
	// when (see Model.now).
	changed map[string]int
	// entries are a directory's, synced those that survive a power cut. Both are
	// nil for anything else.
	entries, synced map[string]*node
	// syncedAt is when that sync began.
	syncedAt int
	inode    uint64 // as read from the disk, 0 if it was made since
}

func (n *node) isDir() bool { return n.entries != nil }

func newNode(dir bool) *node {
	n := &node{changed: map[string]int{}}
	if dir {
		n.entries, n.synced = map[string]*node{}, map[string]*node{}
	}
	return n
}

// Model is a directory and all below it.
type Model struct {
	path string
	root *node
	// now counts the system calls.
	now int
	// pending are those that have begun and not ended, by thread.
	pending map[string]pending
}

// New reads a directory, and takes all that is there for synced.
func New(path string) (*Model, error) {
	root, err := read(path)
	return &Model{path: path, root: root, pending: map[string]pending{}}, err
}

// read reads what is on disk.
func read(path string) (*node, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	n := newNode(info.IsDir())
	n.inode = info.Sys().(*syscall.Stat_t).Ino
	if !info.IsDir() {
		return n, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		child, err := read(filepath.Join(path, entry.Name()))
		if err != nil {
			return nil, err
		}
		n.entries[entry.Name()] = child
	}
	n.synced = maps.Clone(n.entries)
	return n, nil
}

// TakeSynced takes up what others have written and synced, and takes all for synced.
func (m *Model) TakeSynced() error {
	root, err := read(m.path)
	m.root = root
	return err
}

// Reread takes up what was changed while nobody was watching. Of that, entries
// of directories are not synced: so it is when a program is killed between its
// last rename and the sync of that. Whatever is below a new entry is synced.
func (m *Model) Reread() error {
	now, err := read(m.path)
	if err != nil {
		return err
	}
	m.root.reread(now)
	return nil
}

func (n *node) reread(now *node) {
	n.inode = now.inode
	for name, child := range now.entries {
		was := n.entries[name]
		if was != nil && was.isDir() == child.isDir() && (was.inode == child.inode || was.inode == 0) {
			was.reread(child)
			now.entries[name] = was
		}
	}
	n.entries = now.entries
}

// Compare returns an error if the disk is not what the model takes it for: a
// system call was missed.
func (m *Model) Compare() error {
	now, err := read(m.path)
	if err != nil {
		return err
	}
	return m.root.compare(m.path, now)
}

func (n *node) compare(path string, now *node) error {
	if n.isDir() != now.isDir() {
		return fmt.Errorf("%s is of another kind than the system calls say", path)
	}
	onDisk, told := slices.Sorted(maps.Keys(now.entries)), slices.Sorted(maps.Keys(n.entries))
	if !slices.Equal(onDisk, told) {
		return fmt.Errorf("%s holds %q, the system calls say %q", path, onDisk, told)
	}
	var errs []error
	for name, child := range n.entries {
		errs = append(errs, child.compare(path+"/"+name, now.entries[name]))
	}
	return errors.Join(errs...)
}

// Change is something that a power cut could undo.
type Change struct {
	// Path is relative to the model's directory.
	Path string
	// What is "made", "removed" or "replaced" of an entry, or what was changed
	// of the file or directory itself.
	What string
}

func (c Change) String() string { return fmt.Sprintf("%s: %s", c.Path, c.What) }

// Unsynced lists what a power cut could undo now, by path.
func (m *Model) Unsynced() []Change {
	all := m.root.unsynced(".")
	slices.SortFunc(all, func(a, b Change) int { return strings.Compare(a.String(), b.String()) })
	return all
}

func (n *node) unsynced(path string) []Change {
	var all []Change
	for what := range n.changed {
		all = append(all, Change{path, what})
	}
	for name, child := range n.entries {
		at := filepath.Join(path, name)
		switch was := n.synced[name]; {
		case was == nil:
			all = append(all, Change{at, "made"})
		case was != child:
			all = append(all, Change{at, "replaced"})
		}
		all = append(all, child.unsynced(at)...)
	}
	for name := range n.synced {
		if n.entries[name] == nil {
			all = append(all, Change{filepath.Join(path, name), "removed"})
		}
	}
	return all
}

// find returns the node at an absolute path. inside is false for a path that is
// not in the model's directory.
func (m *Model) find(path string) (n *node, inside bool) {
	if path == m.path {
		return m.root, true
	}
	relative, inside := strings.CutPrefix(path, m.path+"/")
	if !inside {
		return nil, false
	}
	n = m.root
	for name := range strings.SplitSeq(relative, "/") {
		if n = n.entries[name]; n == nil {
			return nil, true
		}
	}
	return n, true
}
