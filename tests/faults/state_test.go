package faults

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// state is all that a run can leave: by path the type, mode, owner and content
// of files, and what is mounted. What differs from run to run is left out.
type state map[string]string

func (s *server) state(t *testing.T) state {
	t.Helper()
	all := state{}
	for _, tree := range append(s.tap.trees, tree{s.outside, "outside"}) {
		all.add(t, tree)
	}
	stacked := map[string]int{}
	for _, m := range mountsBelow(t, s.KubeletDir) {
		at := "mount " + strings.TrimPrefix(m.Mountpoint, s.KubeletDir)
		stacked[at]++
		all[fmt.Sprintf("%s %d", at, stacked[at])] = m.Options
	}
	if s.limited {
		s.addLimits(t, all)
		return all.without("pool/trash/")
	}
	return all
}

func (all state) add(t *testing.T, tree tree) {
	t.Helper()
	err := filepath.WalkDir(tree.path, func(path string, entry fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it is being purged
		}
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		content := ""
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(data)
		case info.Mode()&fs.ModeSymlink != 0:
			if content, err = os.Readlink(path); err != nil {
				return err
			}
		}
		name := impersonal(tree.name + strings.TrimPrefix(path, tree.path))
		all[name] = fmt.Sprintf("%s %d:%d %s", info.Mode(), stat.Uid, stat.Gid, impersonal(content))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// without leaves out what is below some paths, and a path's own attributes.
func (all state) without(paths ...string) state {
	rest := state{}
	for name, what := range all {
		below := false
		for _, path := range paths {
			below = below || strings.HasPrefix(name, path)
		}
		if !below {
			rest[name] = what
		}
	}
	return rest
}

// differs returns in which way two states differ, "" if they do not.
func differs(want, got state) string { return cmp.Diff(want, got) }
