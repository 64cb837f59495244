package inputs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// snapshot lists everything below a directory, times aside: by path the type,
// mode, owner and content, and what is mounted. It leaves out what the plugin
// notes of its disks in its own directory, at times of its own.
func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == filepath.Join(root, "csi", "disks.json") || path == filepath.Join(root, "csi", ".disks.json.new") {
			return err
		}
		info, err := entry.Info()
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
		all[path] = fmt.Sprintf("%s %d:%d %q", info.Mode(), stat.Uid, stat.Gid, content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range disk.MountsBelow(t, root) {
		all["mounted: "+at] = ""
	}
	return all
}

// wantSame checks that nothing below the directory has changed.
func wantSame(t *testing.T, root string, before map[string]string) {
	t.Helper()
	if diff := cmp.Diff(before, snapshot(t, root)); diff != "" {
		t.Errorf("the call has changed the disk (-before +after):\n%s", diff)
	}
}

// waitPurged waits until the trash is empty: it is purged in the background.
func (s *server) waitPurged(t *testing.T) {
	t.Helper()
	s.waitTrash(t, 0)
}

// waitTrash waits until so many deleted volumes are left in the trash.
func (s *server) waitTrash(t *testing.T, volumes int) {
	t.Helper()
	patience := 30 * time.Second
	if *long {
		patience = 10 * time.Minute
	}
	plugin.WaitTrash(t, s.Base, volumes, patience)
}
