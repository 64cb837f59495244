package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/hostdir/hostdir/pkg/sysfiles"
)

// ExpandPaths returns the paths of the pool's disks, each once. Of a glob these are
// the ones that are there; a path without a glob is returned even if nothing is
// there, for somebody has to report it. So is what lies behind a symbolic link that
// leads nowhere. The error is why there may be more: a directory could not be listed.
//
// It reads the directories that hold what a glob names, and waits for the disks
// that these are on.
func (p Pool) ExpandPaths() ([]string, error) {
	var paths []string
	var errs []error
	for _, pattern := range p.Paths {
		found := []string{pattern}
		if isGlob(pattern) {
			var err error
			if found, err = expand(pattern); err != nil {
				errs = append(errs, fmt.Errorf("pool %q: what matches %s cannot be found out: %w", p.Name, pattern, err))
			}
		}
		for _, at := range found {
			if at = path.Join(at, p.SubPath); !slices.Contains(paths, at) {
				paths = append(paths, at)
			}
		}
	}
	return paths, errors.Join(errs...)
}

// PlainPaths returns the paths of the pool's disks that are no globs.
func (p Pool) PlainPaths() (paths []string) {
	for _, pattern := range p.Paths {
		if !isGlob(pattern) {
			paths = append(paths, path.Join(pattern, p.SubPath))
		}
	}
	return paths
}

// MountPoint returns where a disk must be mounted for the path to be used, "" if
// none has to be.
func (p Pool) MountPoint(at string) string {
	if !p.RequireMountPoint {
		return ""
	}
	return strings.TrimSuffix(at, "/"+p.SubPath)
}

// Matches reports whether path is one of a disk of the pool, or would be if it were
// there.
func (p Pool) Matches(path string) bool {
	if p.SubPath != "" {
		above, ok := strings.CutSuffix(path, "/"+p.SubPath)
		if !ok {
			return false
		}
		path = above
	}
	return slices.ContainsFunc(p.Paths, func(pattern string) bool { return matchesPath(pattern, path) })
}

// matchesPath reports whether a path, or a glob of paths, means this path.
func matchesPath(pattern, path string) bool {
	if !isGlob(pattern) {
		return pattern == path
	}
	globs, names := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(globs) != len(names) {
		return false
	}
	for i, glob := range globs {
		if !matches(glob, names[i]) {
			return false
		}
	}
	return true
}

// expand returns what a glob matches. What is absent matches nothing; what cannot
// be looked at is an error. (filepath.Glob takes the one for the other.)
func expand(pattern string) (found []string, err error) {
	found = []string{"/"}
	var errs []error
	dead := map[string]bool{} // behind a link that leads nowhere
	for component := range strings.SplitSeq(strings.TrimPrefix(pattern, "/"), "/") {
		var deeper []string
		for _, at := range found {
			names, err := namesMatching(at, component)
			if errors.Is(err, fs.ErrNotExist) && (dead[at] || isDeadLink(at)) {
				if isGlob(component) {
					errs = append(errs, fmt.Errorf("%s is, or lies behind, a symbolic link that leads to nothing that hostdir sees", at))
					continue
				}
				names, err = []string{component}, nil
				dead[path.Join(at, component)] = true
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
				errs = append(errs, err)
			}
			for _, name := range names {
				deeper = append(deeper, path.Join(at, name))
			}
		}
		found = deeper
	}
	return found, errors.Join(errs...)
}

func isDeadLink(name string) bool {
	if _, err := os.Readlink(name); err != nil {
		return false
	}
	_, err := os.Stat(name)
	return errors.Is(err, fs.ErrNotExist)
}

// namesMatching returns the names in a directory that a component of a path
// matches.
func namesMatching(at, component string) ([]string, error) {
	if !isGlob(component) {
		_, err := os.Lstat(path.Join(at, component))
		if err != nil {
			return nil, err
		}
		return []string{component}, nil
	}
	dir, err := os.Open(at + "/") // with the slash it opens nothing but directories
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	names = slices.DeleteFunc(names, func(name string) bool { return !matches(component, name) })
	slices.Sort(names)
	return names, err
}

// matches reports whether a component of a path matches a name. No glob means what a
// system leaves in a filesystem's root.
func matches(component, name string) bool {
	if !isGlob(component) {
		return component == name
	}
	ok, _ := path.Match(component, name) // checkGlob has been there
	return ok && !sysfiles.Known(name)
}

func isGlob(s string) bool { return strings.ContainsAny(s, `*?[\`) }

// checkGlob checks each component: a class of characters cannot hold a slash.
func checkGlob(pattern string) error {
	for component := range strings.SplitSeq(pattern, "/") {
		if _, err := path.Match(component, ""); err != nil {
			return err
		}
	}
	return nil
}
