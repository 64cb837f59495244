package vm

import (
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/vm/guest"
)

// Disk is a filesystem of the machine, made new and empty. Programs find where it is mounted in the environment:
// that of a disk called ext4-plain in HOSTDIR_VM_EXT4_PLAIN.
type Disk struct {
	guest.Disk
	// Mkfs is the command that makes the filesystem. The path of its image is added.
	Mkfs []string
	// MiB of room. Only what is written takes room on this machine.
	Size int64
}

// QuotaDisks are one disk for each way in which a filesystem limits directories, and two that could, but are not
// asked to.
var QuotaDisks = []Disk{
	{guest.Disk{Name: "xfs", Filesystem: "xfs", Options: "prjquota"}, mkfsXFS, 1024},
	{guest.Disk{Name: "ext4", Filesystem: "ext4", Options: "prjquota"}, append(mkfsExt4, "-O", "quota,project", "-E", "quotatype=prjquota"), 1024},
	// btrfs clears removed subvolumes away after its commits, every 30 s by default.
	{guest.Disk{Name: "btrfs", Filesystem: "btrfs", Options: "commit=1"}, []string{"mkfs.btrfs", "-q", "-R", "quota"}, 1024},
	{guest.Disk{Name: "xfs-plain", Filesystem: "xfs"}, mkfsXFS, 512},
	{guest.Disk{Name: "ext4-plain", Filesystem: "ext4"}, mkfsExt4, 512},
}

var (
	mkfsXFS  = []string{"mkfs.xfs", "-q"}
	mkfsExt4 = []string{"mkfs.ext4", "-q", "-F"} // -F: a file is no block device
)

// image makes the filesystem in a file that has no name, so that nobody has to remove it.
func (d Disk) image() (*os.File, error) {
	f, err := temporary()
	if err != nil {
		return nil, err
	}
	if err := d.format(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (d Disk) format(f *os.File) error {
	if err := f.Truncate(d.Size << 20); err != nil {
		return err
	}
	mkfs := exec.Command(d.Mkfs[0], append(d.Mkfs[1:len(d.Mkfs):len(d.Mkfs)], "/proc/self/fd/3")...)
	mkfs.ExtraFiles = []*os.File{f}
	if out, err := mkfs.CombinedOutput(); err != nil {
		return fmt.Errorf("%q: %w; tests/packages installs it if it is missing\n%s", d.Mkfs, err, out)
	}
	return nil
}

// temporary is a file without a name: it goes when nobody has it open any more.
func temporary() (*os.File, error) {
	return os.OpenFile(os.TempDir(), os.O_RDWR|unix.O_TMPFILE, 0o600)
}
