package machine

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mount makes the machine's view of the files. Nothing of it reaches the host, and all of it ends with the machine.
func (m Machine) mount(hierarchies []hierarchy) error {
	if err := mountAt("/", "", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	// /proc and /sys show the machine's processes and network instead of the host's.
	if err := mountAt("/proc", "proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	if err := mountAt("/sys", "sysfs", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	if err := mountCgroups(hierarchies); err != nil {
		return err
	}
	for _, folder := range Folders {
		if err := mountAt(folder, filepath.Join(m.Root(), folder), "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	// As on a real machine /run is gone after a power cut.
	if err := mountAt("/run", "tmpfs", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return err
	}
	if err := os.Mkdir("/run/lock", 0o1777); err != nil {
		return err
	}
	// Mounts that a container makes below /var/lib/kubelet must reach the machine, and the machine's must reach
	// containers: without shared mounts CSI drivers do not work.
	return mountAt("/", "", "", unix.MS_REC|unix.MS_SHARED, "")
}

func mountAt(target, source, fstype string, flags uintptr, options string) error {
	if err := unix.Mount(source, target, fstype, flags, options); err != nil {
		return fmt.Errorf("mount %s at %s: %w", source, target, err)
	}
	return nil
}
