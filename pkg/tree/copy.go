package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
)

// Options say how to copy.
type Options struct {
	// Live is for an original that others work in meanwhile: what they remove is left
	// out, what they exchange is taken as it is then. Each file is what it was at one
	// moment where its blocks can be shared, else a mixture of several.
	Live bool
	// ShareOnly refuses to copy what is in a file: without blocks that the copy can share
	// with the original the error is ErrCannotShare.
	ShareOnly bool
	// Resumable is called when a checkpoint is reached: from then on the copy can be gone on
	// with when it is cut short, also by a power cut. nil for one that always can.
	Resumable func() error
	// ChangedSince is when the copy began that is gone on with: files of the original that
	// were changed since are copied again, whatever their times say. Zero for an original that
	// nobody changes.
	ChangedSince time.Time
}

// ErrCannotShare is for a filesystem, or a file, whose blocks cannot be shared.
var ErrCannotShare = errors.New("its blocks cannot be shared with a copy (no reflinks)")

// copier is one copy.
type copier struct {
	Options
	ctx   context.Context
	watch *Watch
	top   *dir.Dir // of the copy
	// linked is where files with several names were copied to first.
	linked map[dir.Inode]firstName
	// share is whether files may share their blocks with the copy; shared and copied are
	// whether there are any that do, and any that do not.
	share, shared, copied bool
	waiting               checkpoint
	buffer                []byte
}

// firstName is where a file with several names is in the copy, below its top, and what
// it was then.
type firstName struct {
	path string
	stat unix.Stat_t
}

// Copy makes to, a directory, hold what from holds, and be as from is. What a copy that
// was cut short has left in to is taken for copied where type, size and time are the
// same; anything that from does not have is removed. Sockets are left out. The copy is
// not synced at the end. shared is whether it has all its blocks in common with the
// original.
func Copy(ctx context.Context, from, to *dir.Dir, w *Watch, o Options) (shared bool, err error) {
	c := &copier{Options: o, ctx: ctx, watch: w, top: to, linked: map[dir.Inode]firstName{}, share: true, buffer: make([]byte, 1<<20)}
	if err = c.directory(from, to, "", maxDepth); err == nil {
		err = c.end()
	}
	return c.shared && !c.copied, err
}

// directory copies what is in a directory that is path below the top, and then what it
// is itself.
func (c *copier) directory(from, to *dir.Dir, path string, depth int) error {
	if err := c.removeOthers(from, to); err != nil {
		return err
	}
	one := func(e Entry) error {
		if depth == 0 && e.Is(unix.S_IFDIR) {
			return tooDeep(e)
		}
		return c.current(e, to, join(path, e.Name), depth)
	}
	err := entries(c.ctx, from, c.watch, one)
	if err == nil && c.Live {
		err = c.missed(from, to, one)
	}
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(from.FD(), &st); err != nil {
		return from.Wrap("fstat", ".", err)
	}
	return copyMeta(from.File, to.File, st)
}

// maxLooks is how often a directory is listed again for what its last listing has missed.
const maxLooks = 5

// missed copies what a directory had all the while and its listing did not: readdir(3)
// promises nothing of names that change meanwhile, and on btrfs a file that is renamed
// over another moves to where a listing under way does not come any more.
func (c *copier) missed(from, to *dir.Dir, one func(Entry) error) error {
	for range maxLooks {
		found := false
		err := entries(c.ctx, from, &Watch{Step: c.watch.Step}, func(e Entry) error {
			if e.Is(unix.S_IFSOCK) {
				return nil
			}
			if _, err := to.Lstat(e.Name); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			found = true
			c.watch.Files.Add(1)
			return one(e)
		})
		if err != nil || !found {
			return err
		}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "/" + name
}

// removeOthers removes from a copy what is not in the original.
func (c *copier) removeOthers(from, to *dir.Dir) error {
	return entries(c.ctx, to, &Watch{Step: c.watch.Step}, func(e Entry) error {
		_, err := from.Lstat(e.Name)
		if errors.Is(err, fs.ErrNotExist) {
			return to.RemoveTree(c.ctx, e.Name)
		}
		return err
	})
}

// maxExchanges is how often in a row an entry may be another one by the time that it is
// opened.
const maxExchanges = 100

// current copies an entry, or of a live original what has come in its place meanwhile.
func (c *copier) current(e Entry, to *dir.Dir, path string, depth int) error {
	for attempt := 0; ; attempt++ {
		err := c.entry(e, to, path, depth)
		if !c.Live || attempt == maxExchanges || !errors.Is(err, dir.ErrExchanged) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := c.watch.step(c.ctx); err != nil {
			return err
		}
		if e.Stat, err = e.Parent.Lstat(e.Name); errors.Is(err, fs.ErrNotExist) {
			return to.RemoveTree(c.ctx, e.Name)
		} else if err != nil {
			return err
		}
	}
}

func (c *copier) entry(e Entry, to *dir.Dir, path string, depth int) error {
	if e.Is(unix.S_IFDIR) {
		return c.sub(e, to, path, depth)
	}
	from, err := e.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	inode := dir.Inode{Device: e.Stat.Dev, Number: e.Stat.Ino}
	there, err := to.Lstat(e.Name)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if first, ok := c.linked[inode]; ok && sameFile(first.stat, e.Stat) {
		return c.link(first.path, to, e.Name, exists, there)
	}
	if exists && (!sameContent(e.Stat, there) || c.changed(e.Stat)) {
		if err := to.RemoveTree(c.ctx, e.Name); err != nil {
			return err
		}
		exists = false
	}
	switch e.Stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		err = c.file(from.File, e, to, path, exists)
	case unix.S_IFLNK:
		err = c.symlink(from.File, e, to, exists)
	case unix.S_IFSOCK:
		return nil
	default:
		if !exists {
			err = to.Wrap("mknodat", e.Name, unix.Mknodat(to.FD(), e.Name, e.Stat.Mode&unix.S_IFMT|0o600, int(e.Stat.Rdev)))
		}
		if err == nil {
			err = copyMetaAt(from.File, e, to)
		}
	}
	if err == nil && e.Stat.Nlink > 1 {
		c.linked[inode] = firstName{path, e.Stat}
	}
	return err
}

// sameFile reports whether an inode is still the file that it was: its number may have
// been given to another one.
func sameFile(was, is unix.Stat_t) bool {
	return was.Mode == is.Mode && was.Size == is.Size && was.Mtim == is.Mtim
}

// changed reports whether a file may have been written since an earlier copy of it.
func (c *copier) changed(st unix.Stat_t) bool {
	return !c.ChangedSince.IsZero() && !time.Unix(st.Ctim.Sec, st.Ctim.Nsec).Before(c.ChangedSince)
}

// sameContent reports whether an entry of the copy need not be made again: a file's time
// is set once all of it is on the disk.
func sameContent(from, to unix.Stat_t) bool {
	return from.Mode&unix.S_IFMT == to.Mode&unix.S_IFMT && from.Size == to.Size && from.Rdev == to.Rdev &&
		to.Nlink == 1 && sameTime(from.Mtim, to.Mtim)
}

func (c *copier) sub(e Entry, to *dir.Dir, path string, depth int) error {
	there, err := to.Lstat(e.Name)
	if err == nil && there.Mode&unix.S_IFMT != unix.S_IFDIR {
		if err := to.RemoveTree(c.ctx, e.Name); err != nil {
			return err
		}
	}
	below, err := to.MakeSub(e.Name)
	if err != nil {
		return err
	}
	defer below.Close()
	from, err := e.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	return c.directory(from, below, path, depth-1)
}

// link gives a file that was copied another name.
func (c *copier) link(first string, to *dir.Dir, name string, exists bool, there unix.Stat_t) error {
	if exists {
		original, err := c.top.Lstat(first)
		if err != nil || original.Ino == there.Ino {
			return err
		}
		if err := to.RemoveTree(c.ctx, name); err != nil {
			return err
		}
	}
	return to.Wrap("linkat", name, unix.Linkat(c.top.FD(), first, to.FD(), name, 0))
}

func (c *copier) file(from *os.File, e Entry, to *dir.Dir, path string, exists bool) error {
	flags := unix.O_WRONLY | unix.O_NONBLOCK
	if !exists {
		flags |= unix.O_CREAT | unix.O_EXCL
	}
	copied, err := to.OpenFile(e.Name, flags, 0o600)
	if err != nil {
		return err
	}
	shared, err := c.shareContent(from, copied, e, exists)
	if err == nil && !shared {
		c.copied = c.copied || e.Stat.Blocks > 0
		if exists {
			c.watch.Bytes.Add(e.Stat.Blocks * 512)
		} else {
			err = c.content(from, copied, e.Stat)
		}
	}
	if err == nil {
		err = c.finish(from, copied, e.Stat, path, shared || exists)
	}
	return errors.Join(err, copied.Close())
}

// shareContent gives the copy the blocks of the original, also what is empty: it may have
// grown since it was looked at. What is gone on with shares them anew.
func (c *copier) shareContent(from, to *os.File, e Entry, exists bool) (bool, error) {
	if !c.share {
		return false, nil
	}
	err := unix.IoctlFileClone(int(to.Fd()), int(from.Fd()))
	if exists && (err == nil || err == unix.EINVAL) {
		// What the copy has beyond the end of an original that was cut short stays, and an
		// end within a block is refused.
		if err := e.isUnchanged(from); err != nil {
			return false, err
		}
	}
	switch {
	case err == nil:
		c.shared = true
		c.watch.Bytes.Add(e.Stat.Blocks * 512)
		return true, nil
	case dir.IsNoSpace(err) || dir.IsPassing(err): // to copy would take even more
		return false, &os.PathError{Op: "ioctl FICLONE", Path: to.Name(), Err: err}
	case err != unix.EINVAL && err != unix.ETXTBSY: // which are about this file
		c.share = false // EXDEV, EOPNOTSUPP: about the filesystems
	}
	if c.ShareOnly {
		return false, fmt.Errorf("%s: %w: %w", from.Name(), ErrCannotShare, err)
	}
	return false, nil
}

// eager is the size from which a file is written back at once: what all small ones
// leave to a sync at the end is little.
const eager = 8 << 20

// content copies what is in a file, and leaves its holes.
func (c *copier) content(from, to *os.File, st unix.Stat_t) error {
	written := int64(0)
	for at := int64(0); at < st.Size; { // what grows meanwhile may grow for ever
		begin, end, err := nextData(from, at)
		if err != nil {
			return err
		}
		if begin < 0 || begin >= st.Size {
			return c.rest(from, to, st, false)
		}
		end = min(end, st.Size)
		for at = begin; at < end; {
			if err := c.watch.step(c.ctx); err != nil {
				return err
			}
			n, err := from.ReadAt(c.buffer[:min(int64(len(c.buffer)), end-at)], at)
			if n == 0 && err == io.EOF {
				return c.rest(from, to, st, true)
			}
			if err != nil && err != io.EOF {
				return err
			}
			if _, err := to.WriteAt(c.buffer[:n], at); err != nil {
				return err
			}
			at += int64(n)
			c.watch.Bytes.Add(int64(n))
			if written += int64(n); written >= eager {
				if err := unix.Fdatasync(int(to.Fd())); err != nil {
					return &os.PathError{Op: "fdatasync", Path: to.Name(), Err: err}
				}
				written = 0
			}
		}
	}
	return nil
}

// rest ends a copy where its original has no more content: it is a hole from there on, or was
// cut short.
func (c *copier) rest(from, to *os.File, st unix.Stat_t, short bool) error {
	now, err := from.Stat()
	if err != nil {
		return err
	}
	if (short || now.Size() < st.Size) && !c.Live {
		return fmt.Errorf("%s has become shorter while it was read: somebody writes to it", from.Name())
	}
	return to.Truncate(min(now.Size(), st.Size))
}

// nextData returns the next piece of a file that is no hole, -1 if there is none: also
// where the file became shorter between the two calls.
func nextData(f *os.File, at int64) (begin, end int64, err error) {
	begin, err = unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	if err == nil {
		end, err = unix.Seek(int(f.Fd()), begin, unix.SEEK_HOLE)
	}
	switch {
	case err == unix.ENXIO:
		return -1, -1, nil
	case err != nil:
		return 0, 0, &os.PathError{Op: "lseek", Path: f.Name(), Err: err}
	}
	return begin, end, nil
}

func (c *copier) symlink(from *os.File, e Entry, to *dir.Dir, exists bool) error {
	target, err := readlinkat(int(from.Fd()), "", from.Name())
	if err != nil {
		return err
	}
	if exists {
		is, err := readlink(to, e.Name)
		if err != nil {
			return err
		}
		if exists = is == target; !exists {
			if err := to.Unlink(e.Name); err != nil {
				return err
			}
		}
	}
	if !exists {
		if err := unix.Symlinkat(target, to.FD(), e.Name); err != nil {
			return to.Wrap("symlinkat", e.Name, err)
		}
	}
	return copyMetaAt(from, e, to)
}

func readlink(d *dir.Dir, name string) (string, error) {
	return readlinkat(d.FD(), name, d.Path(name))
}

// readlinkat reads the link that fd is itself if name is "".
func readlinkat(fd int, name, path string) (string, error) {
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, name, buffer)
	if err != nil {
		return "", &os.PathError{Op: "readlinkat", Path: path, Err: err}
	}
	return string(buffer[:n]), nil
}
