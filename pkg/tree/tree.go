// Package tree copies a directory with all that is in it, and compares the copy: owners,
// modes, times, extended attributes and ACLs, hard links and holes. It knows nothing of
// volumes.
//
// Both directories are reached through descriptors, beneath which no symbolic link is
// followed and no mount crossed, whoever swaps something in meanwhile. Nothing keeps a
// copy of what is being written to from being a mixture: who copies sees to it that
// nobody writes, and Compare finds out; or says with Options.Live that somebody may.
package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
)

// maxDepth bounds how many descriptors a walk holds.
const maxDepth = 500

// batch is how many names of a directory are read at a time: one may hold millions.
const batch = 1024

// Watch is told how a walk comes along. It may be read at any time.
type Watch struct {
	Files, Bytes atomic.Int64
	// Step is called before each entry and each piece of a large file, nil for nothing:
	// its error ends the walk.
	Step func() error
}

// step is what comes before each piece of work.
func (w *Watch) step(ctx context.Context) error {
	if err := ctx.Err(); err != nil || w.Step == nil {
		return err
	}
	return w.Step()
}

// Entry is one of the names beneath a directory.
type Entry struct {
	Parent *dir.Dir
	Name   string
	Stat   unix.Stat_t
}

// Path is for messages.
func (e Entry) Path() string { return e.Parent.Path(e.Name) }

// Is reports whether the entry is of a type, such as unix.S_IFDIR.
func (e Entry) Is(kind uint32) bool { return e.Stat.Mode&unix.S_IFMT == kind }

// Open opens the entry, without following or waking what may have come in its place, and
// notes what it is now; see dir.OpenSame for the error if it is another one by now.
func (e *Entry) Open() (*dir.Dir, error) {
	f, is, err := e.Parent.OpenSame(e.Name, e.Stat)
	if err != nil {
		return nil, err
	}
	e.Stat = is
	return &dir.Dir{File: f}, nil
}

// isUnchanged returns dir.ErrExchanged for a file that was written to since it was opened.
func (e Entry) isUnchanged(f *os.File) error {
	var is unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &is); err != nil {
		return e.Parent.Wrap("fstat", e.Name, err)
	}
	if is.Size != e.Stat.Size || is.Ctim != e.Stat.Ctim {
		return fmt.Errorf("%s %w", e.Path(), dir.ErrExchanged)
	}
	return nil
}

// Each calls do with each entry beneath a directory, one that holds others before
// these. do must not add or remove entries.
func Each(ctx context.Context, root *dir.Dir, w *Watch, do func(e Entry) error) error {
	return each(ctx, root, w, maxDepth, do)
}

func each(ctx context.Context, d *dir.Dir, w *Watch, depth int, do func(e Entry) error) error {
	return entries(ctx, d, w, func(e Entry) error {
		if err := do(e); err != nil || !e.Is(unix.S_IFDIR) {
			return err
		}
		if depth == 0 {
			return tooDeep(e)
		}
		sub, err := e.Open()
		if err != nil {
			return err
		}
		defer sub.Close()
		return each(ctx, sub, w, depth-1, do)
	})
}

func tooDeep(e Entry) error {
	return fmt.Errorf("%s lies more than %d directories deep: move what is so deep up by hand", e.Path(), maxDepth)
}

// entries calls do with each entry of a directory itself.
func entries(ctx context.Context, d *dir.Dir, w *Watch, do func(e Entry) error) error {
	if _, err := d.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for {
		names, err := d.Readdirnames(batch)
		if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist) { // d itself was removed
			return nil
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := w.step(ctx); err != nil {
				return err
			}
			e := Entry{Parent: d, Name: name}
			e.Stat, err = d.Lstat(name)
			if errors.Is(err, fs.ErrNotExist) { // removed since it was listed
				continue
			}
			if err != nil {
				return err
			}
			w.Files.Add(1)
			if err := do(e); err != nil {
				return err
			}
		}
	}
}

// Size is what a directory holds, itself included.
type Size struct {
	// Bytes are those on disk: of a file with holes less than its length.
	Bytes int64
	// Files are all entries, of whatever type.
	Files int64
	// Sockets are those among them that cannot be copied.
	Sockets int64
}

// Measure counts what a directory holds. A file with several names counts once. It is
// an error if anything is mounted in it, or it holds one of the directories in not.
func Measure(ctx context.Context, root *dir.Dir, w *Watch, not map[dir.Inode]string) (Size, error) {
	var own unix.Stat_t
	if err := unix.Fstat(root.FD(), &own); err != nil {
		return Size{}, root.Wrap("fstat", ".", err)
	}
	size := Size{Bytes: own.Blocks * 512, Files: 1}
	seen := map[uint64]bool{} // files with several names
	err := Each(ctx, root, w, func(e Entry) error {
		if what := not[dir.Inode{Device: e.Stat.Dev, Number: e.Stat.Ino}]; what != "" && e.Is(unix.S_IFDIR) {
			return fmt.Errorf("%s is %s", e.Path(), what)
		}
		if e.Stat.Dev != own.Dev {
			return fmt.Errorf("%s is on another filesystem, or in another subvolume, than the directory that holds it: something is mounted there; unmount it, or move it out", e.Path())
		}
		if e.Stat.Nlink > 1 && !e.Is(unix.S_IFDIR) {
			if seen[e.Stat.Ino] {
				return nil
			}
			seen[e.Stat.Ino] = true
		}
		size.Files++
		size.Bytes += e.Stat.Blocks * 512
		if e.Is(unix.S_IFSOCK) {
			size.Sockets++
		}
		return nil
	})
	return size, err
}
