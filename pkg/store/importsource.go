package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/tree"
)

// importSource is a directory that may be imported, open beneath the directory that the
// configuration names.
type importSource struct {
	path string
	// parent is the directory that it is in, name what it is called there.
	parent *dir.Dir
	name   string
}

func (x *importSource) close() { x.parent.Close() }

// openSource opens the directory that a source is in, whether the source is there or
// not. The way to it leads through no symbolic link and no mount.
func (s *Store) openSource(source string) (*importSource, error) {
	s.mu.RLock()
	root, name, ok := s.importFrom.Find(source)
	s.mu.RUnlock()
	if !ok || path.Clean(source) != source {
		return nil, fmt.Errorf("%w: %s is in none of the directories from which volumes may be imported: name the one that it is in under import in hostdir's configuration", errdefs.ErrInvalid, source)
	}
	if err := s.apartFromDisks(source); err != nil {
		return nil, err
	}
	top, err := dir.Open(root)
	if err != nil {
		return nil, fmt.Errorf("the directory to import from: %w", err)
	}
	inodes := s.diskInodes()
	for {
		inode, err := top.Inode()
		if err == nil && inodes[inode] != "" {
			err = fmt.Errorf("%w: %s lies in %s", errdefs.ErrInvalid, source, inodes[inode])
		}
		if err != nil {
			top.Close()
			return nil, err
		}
		first, rest, more := strings.Cut(name, "/")
		if !more {
			return &importSource{path: source, parent: top, name: name}, nil
		}
		next, err := top.Sub(first)
		top.Close()
		if err != nil {
			return nil, fmt.Errorf("%s cannot be imported: %w", source, err)
		}
		top, name = next, rest
	}
}

// apartFromDisks refuses by its path what is a disk of the configuration, in one, or
// around one, whether the disk is there or not.
func (s *Store) apartFromDisks(source string) error {
	for _, p := range s.places() {
		if (p.path+"/") == (source+"/") || strings.HasPrefix(source, p.path+"/") || strings.HasPrefix(p.path, source+"/") {
			return fmt.Errorf("%w: %s and the disk %s lie within each other: what is on a disk is hostdir's already", errdefs.ErrInvalid, source, p.path)
		}
	}
	return nil
}

// diskInodes are the directories of the disks in use, however they are called.
func (s *Store) diskInodes() map[dir.Inode]string {
	all := map[dir.Inode]string{}
	for _, d := range s.inUse() {
		all[d.id.Inode] = "the disk " + d.path
	}
	return all
}

// open opens the source. The error is fs.ErrNotExist if it is not there.
func (x *importSource) open() (*dir.Dir, error) {
	source, err := x.parent.Sub(x.name)
	switch {
	case errors.Is(err, unix.EXDEV):
		return nil, fmt.Errorf("%w: %s is a mount: a directory of it can be imported, or its filesystem become a disk of a pool", errdefs.ErrInvalid, x.path)
	case err != nil:
		return nil, fmt.Errorf("%s cannot be imported: %w", x.path, err)
	}
	if _, err := source.Lstat(disk.MarkerFile); !errors.Is(err, fs.ErrNotExist) {
		source.Close()
		return nil, fmt.Errorf("%w: %s has a %s: it is, or was, a disk of hostdir's; add it to a pool", errdefs.ErrInvalid, x.path, disk.MarkerFile)
	}
	return source, nil
}

// openAs opens the source if it is still the one of this identity, and nobody uses it.
func (x *importSource) openAs(identity string, mayUse func(*os.File) error) (*dir.Dir, error) {
	source, err := x.open()
	if err != nil {
		return nil, err
	}
	is, err := source.Identity()
	if err == nil && is != identity {
		err = fmt.Errorf("%w: %s is another directory than the one whose import has begun", errdefs.ErrConflict, x.path)
	}
	if err == nil {
		err = mayUse(source.File)
	}
	if err != nil {
		source.Close()
		return nil, err
	}
	return source, nil
}

// syncSource syncs the directory that a source is or was in, if there still is one.
func (s *Store) syncSource(source string) error {
	x, err := s.openSource(source)
	if err != nil {
		return nil // it is in the filesystem's own order all the same
	}
	defer x.close()
	return x.parent.Sync()
}

// measureSource counts what a source holds, and refuses one that is not apart from all
// disks.
func (s *Store) measureSource(ctx context.Context, source *dir.Dir, w *tree.Watch) (tree.Size, error) {
	return tree.Measure(ctx, source, w, s.diskInodes())
}
