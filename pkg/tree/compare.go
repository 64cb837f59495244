package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
)

// ErrDiffers is returned by Compare.
var ErrDiffers = errors.New("the copy is not what the original is: somebody writes to one of them, or a disk is not sound")

// comparison is one.
type comparison struct {
	ctx   context.Context
	watch *Watch
	// names tells which file of the copy a file with several names is.
	names map[dir.Inode]dir.Inode
	a, b  []byte
}

// Compare returns ErrDiffers unless a copy holds all that the original does, and nothing
// else, and each file has what it had: content, owner, mode, time of its last change,
// attributes, names. Sockets do not count.
func Compare(ctx context.Context, original, copied *dir.Dir, w *Watch) error {
	c := &comparison{ctx, w, map[dir.Inode]dir.Inode{}, make([]byte, 1<<20), make([]byte, 1<<20)}
	return c.directory(original, copied)
}

func differs(path, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrDiffers, path, fmt.Sprintf(format, args...))
}

func (c *comparison) directory(from, to *dir.Dir) error {
	if err := c.opened(from.File, to.File); err != nil {
		return err
	}
	want := 0
	err := entries(c.ctx, from, c.watch, func(e Entry) error {
		if e.Is(unix.S_IFSOCK) {
			return nil
		}
		want++
		return c.entry(e, to)
	})
	if err != nil {
		return err
	}
	err = entries(c.ctx, to, &Watch{Step: c.watch.Step}, func(Entry) error { want--; return nil })
	if err == nil && want != 0 {
		err = differs(from.Name(), "the copy holds %d entries more", -want)
	}
	return err
}

// opened compares what two open files or directories are.
func (c *comparison) opened(from, to *os.File) error {
	var a, b unix.Stat_t
	for f, st := range map[*os.File]*unix.Stat_t{from: &a, to: &b} {
		if err := unix.Fstat(int(f.Fd()), st); err != nil {
			return &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
		}
	}
	return same(from.Name(), a, b, ofFile(from), ofFile(to))
}

func same(path string, a, b unix.Stat_t, from, to attributed) error {
	isDir := a.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case a.Mode != b.Mode:
		return differs(path, "mode %o, of the copy %o", a.Mode, b.Mode)
	case a.Uid != b.Uid || a.Gid != b.Gid:
		return differs(path, "owner %d:%d, of the copy %d:%d", a.Uid, a.Gid, b.Uid, b.Gid)
	case !isDir && a.Size != b.Size:
		return differs(path, "%d bytes, the copy has %d", a.Size, b.Size)
	case a.Rdev != b.Rdev:
		return differs(path, "another device")
	case !sameTime(a.Mtim, b.Mtim):
		return differs(path, "it was changed at another time")
	}
	which, err := sameAttributes(from, to)
	if err == nil && which != "" {
		err = differs(path, "another extended attribute %s", which)
	}
	return err
}

func (c *comparison) entry(e Entry, to *dir.Dir) error {
	there, err := to.Lstat(e.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return differs(e.Path(), "the copy has none")
	}
	if err != nil {
		return err
	}
	if (e.Stat.Mode^there.Mode)&unix.S_IFMT != 0 {
		return differs(e.Path(), "another type of file")
	}
	if e.Stat.Nlink > 1 && !e.Is(unix.S_IFDIR) {
		original, copied := dir.Inode{Device: e.Stat.Dev, Number: e.Stat.Ino}, dir.Inode{Device: there.Dev, Number: there.Ino}
		if other, seen := c.names[original]; seen {
			if other != copied {
				return differs(e.Path(), "a name of a file that has several; in the copy it is a file of its own")
			}
			return nil
		}
		c.names[original] = copied
	}
	switch e.Stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR, unix.S_IFREG:
		return c.open(e, to, there)
	case unix.S_IFLNK:
		a, err := readlink(e.Parent, e.Name)
		if err != nil {
			return err
		}
		b, err := readlink(to, e.Name)
		if err != nil {
			return err
		}
		if a != b {
			return differs(e.Path(), "a link to %q, in the copy to %q", a, b)
		}
	}
	return same(e.Path(), e.Stat, there, ofEntry(e.Parent, e.Name), ofEntry(to, e.Name))
}

func (c *comparison) open(e Entry, to *dir.Dir, there unix.Stat_t) error {
	from, err := e.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	other := Entry{to, e.Name, there}
	copied, err := other.Open()
	if err != nil {
		return err
	}
	defer copied.Close()
	if e.Is(unix.S_IFDIR) {
		return c.directory(from, copied)
	}
	if err := c.opened(from.File, copied.File); err != nil {
		return err
	}
	return c.content(from.File, copied.File)
}

// content compares all that is no hole in either of two files.
func (c *comparison) content(from, to *os.File) error {
	for at := int64(0); ; {
		begin, end, err := nextData(from, at)
		if err != nil {
			return err
		}
		otherBegin, otherEnd, err := nextData(to, at)
		if err != nil {
			return err
		}
		switch {
		case begin < 0 && otherBegin < 0:
			return nil
		case begin < 0 || otherBegin >= 0 && otherBegin < begin:
			begin, end = otherBegin, otherEnd
		}
		for at = begin; at < end; {
			if err := c.watch.step(c.ctx); err != nil {
				return err
			}
			n := min(int64(len(c.a)), end-at)
			na, err := from.ReadAt(c.a[:n], at)
			if err != nil && err != io.EOF {
				return err
			}
			nb, err := to.ReadAt(c.b[:n], at)
			if err != nil && err != io.EOF {
				return err
			}
			if na != nb || na == 0 || !bytes.Equal(c.a[:na], c.b[:nb]) {
				return differs(from.Name(), "another content near byte %d", at)
			}
			at += int64(na)
			c.watch.Bytes.Add(int64(na))
		}
	}
}
