package tree

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
)

// A copy that was cut short is gone on with by what it has left, and after a power cut a
// file may be there with its size and without its content. So its time tells: a file has
// another one until a sync that came after its content.

// What waits for a checkpoint at most: that much would be copied again.
var (
	checkpointBytes int64 = 1 << 30
	checkpointFiles       = 10_000
)

// checkpoint has the files that were copied since the last one.
type checkpoint struct {
	files []written
	bytes int64
}

// written is a file of the copy that has not got its time yet.
type written struct {
	parent, name string // parent is below the top of the copy
	times        [2]unix.Timespec
}

// notYet is another time than the original's.
func notYet(st unix.Stat_t) unix.Stat_t {
	if st.Mtim.Sec < 0 {
		st.Mtim.Sec++
	} else {
		st.Mtim.Sec--
	}
	return st
}

// wrote notes that a file has its content.
func (c *copier) wrote(path string, st unix.Stat_t) error {
	parent, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		parent, name = path[:i], path[i+1:]
	}
	c.waiting.files = append(c.waiting.files, written{parent, name, [2]unix.Timespec{st.Atim, st.Mtim}})
	c.waiting.bytes += st.Blocks * 512
	if c.waiting.bytes < checkpointBytes && len(c.waiting.files) < checkpointFiles {
		return nil
	}
	return c.settle()
}

// settle makes sure that all files are on the disk, and gives them their times.
func (c *copier) settle() error {
	if len(c.waiting.files) == 0 {
		return nil
	}
	if err := c.top.Wrap("syncfs", ".", unix.Syncfs(c.top.FD())); err != nil {
		return err
	}
	if c.Resumable != nil {
		if err := c.Resumable(); err != nil {
			return err
		}
		c.Resumable = nil
	}
	return c.setTimes()
}

// end gives the last files their times. Nobody goes on with a copy that never came to a
// checkpoint: it need not be on the disk for that.
func (c *copier) end() error {
	if c.Resumable != nil {
		return c.setTimes()
	}
	return c.settle()
}

// setTimes walks the files in the order of their copying: most have the parent of the one
// before.
func (c *copier) setTimes() error {
	var parent *dir.Dir // of path
	path := ""
	leave := func() {
		if parent != nil {
			parent.Close()
		}
	}
	defer func() { leave() }()
	for _, f := range c.waiting.files {
		if parent == nil || f.parent != path {
			below, err := c.top.Sub(cmp.Or(f.parent, "."))
			if isGone(err) {
				continue
			}
			if err != nil {
				return err
			}
			leave()
			parent, path = below, f.parent
		}
		if err := f.setTimes(parent); err != nil {
			return err
		}
	}
	c.waiting = checkpoint{files: c.waiting.files[:0]}
	return nil
}

// setTimes leaves alone what has come in the file's place: of a live original.
func (f written) setTimes(parent *dir.Dir) error {
	st, err := parent.Lstat(f.name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	if err != nil {
		return err
	}
	return parent.Wrap("utimensat", f.name, unix.UtimesNanoAt(parent.FD(), f.name, f.times[:], unix.AT_SYMLINK_NOFOLLOW))
}

// isGone reports whether a directory of the copy has made way for something else.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// finish gives a file of the copy what the original is but for its content, and its time
// when that is on the disk.
func (c *copier) finish(from, to *os.File, st unix.Stat_t, path string, hasContent bool) error {
	if len(path) >= unix.PathMax && !hasContent { // no call takes such a path later
		if err := to.Sync(); err != nil {
			return err
		}
		hasContent = true
	}
	if hasContent {
		return copyMeta(from, to, st)
	}
	if err := copyMeta(from, to, notYet(st)); err != nil {
		return err
	}
	return c.wrote(path, st)
}
