//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A disk is a filesystem of a node's own, in an image on that node, and where
// the node mounts it.
type disk struct {
	*cluster
	node, dir string
}

// session is in the paths of all disks, and distinguishes those of this run from those of
// others on the same cluster: hostdir remembers which disk a node had where.
var session = time.Now().Format("150405")

// makeDisk makes a filesystem and mounts it in a node.
func (c *cluster) makeDisk(t testing.TB, node, dir string, size int64, mkfs ...string) disk {
	t.Helper()
	d := disk{c, node, dir}
	f, err := os.Create(d.file())
	if err == nil {
		err = f.Truncate(size)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, mkfs[0], append(mkfs[1:], d.file())...)
	c.onNode(t, node, "mkdir", "-p", dir)
	d.mount(t)
	return d
}

// image is the path of the image in the node, file the one on this machine.
func (d disk) image() string { return filepath.Join("/mnt", filepath.Base(d.dir)+".img") }
func (d disk) file() string  { return filepath.Join(d.files[d.node], d.image()) }

func (d disk) mount(t testing.TB) {
	t.Helper()
	d.onNode(t, d.node, "mount", "-o", "loop", d.image(), d.dir)
}

// unmount is the admin's umount: without -l or -f, and again while the plugin
// looks at the disk, which it does for a moment at a time.
func (d disk) unmount(t testing.TB) {
	t.Helper()
	d.onNode(t, d.node, "sh", "-c", "for i in 1 2 3 4 5; do umount "+d.dir+" && exit; sleep 1; done; exit 1")
}

// restore mounts the disk unless it is mounted.
func (d disk) restore(t testing.TB) {
	t.Helper()
	d.onNode(t, d.node, "sh", "-c", "mountpoint -q "+d.dir+" || mount -o loop "+d.image()+" "+d.dir)
}

func (d disk) remove(t testing.TB) {
	t.Helper()
	d.unmount(t)
	d.onNode(t, d.node, "rmdir", d.dir)
	if err := os.Remove(d.file()); err != nil {
		t.Error(err)
	}
}

// beneath returns an error if anything is in the folder on which the disk is
// mounted. This machine does not see the node's mounts, and so sees what they
// cover.
func (d disk) beneath() error {
	found, err := os.ReadDir(filepath.Join(d.files[d.node], d.dir))
	if err == nil && len(found) > 0 {
		var names []string
		for _, f := range found {
			names = append(names, f.Name())
		}
		err = fmt.Errorf("beneath the mount point %s on %s there is %s", d.dir, d.node, strings.Join(names, ", "))
	}
	return err
}
