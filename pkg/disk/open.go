package disk

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/hostdir/hostdir/pkg/dir"
)

// Open opens a disk's directory, whatever there is. Symbolic links on the way are
// followed, each time anew: which disk is there the marker says, and not the path.
func Open(name string) (*dir.Dir, error) {
	d, err := dir.Open(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	if link, target := deadLink(name); link != "" {
		return nil, Refuse(Absent, "it is not there: %s is a symbolic link to %s, which hostdir does not see: of the node its container has only the folders that pools name; "+
			"put that directory itself into the pool's paths, or mount the disk at %s in place of the link: %w", link, target, link, err)
	}
	return nil, Refuse(Absent, "it is not there: %w", err)
}

// deadLink returns the first symbolic link on a path that leads to nothing, and
// where to; "" if there is none.
func deadLink(name string) (link, target string) {
	for component := range strings.SplitSeq(strings.TrimPrefix(name, "/"), "/") {
		link += "/" + component
		target, err := os.Readlink(link)
		if err != nil { // no link
			continue
		}
		if _, err := os.Stat(link); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(link), target)
		}
		return link, target
	}
	return "", ""
}
