package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/vm/guest"
)

// mountKernel mounts what the kernel shows and what it keeps in memory.
func mountKernel() error {
	for _, m := range []struct{ filesystem, target string }{
		{"proc", "/proc"},
		{"sysfs", "/sys"},
		{"devtmpfs", "/dev"},
		{"tmpfs", "/tmp"},
		{"tmpfs", "/run"},
	} {
		if err := mount(m.filesystem, m.target, m.filesystem, ""); err != nil {
			return err
		}
	}
	return os.Setenv("PATH", guest.Programs+":/bin")
}

// loadModules loads the kernel's modules in the order of their names.
func loadModules() error {
	files, err := os.ReadDir(guest.Modules)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := loadModule(filepath.Join(guest.Modules, file.Name())); err != nil {
			return fmt.Errorf("load %s: %w", file.Name(), err)
		}
	}
	return nil
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// mountDisks mounts the disks of the configuration, and returns them.
func mountDisks() ([]guest.Disk, error) {
	config, err := os.ReadFile(guest.Config)
	if err != nil {
		return nil, err
	}
	var disks []guest.Disk
	if err := json.Unmarshal(config, &disks); err != nil {
		return nil, fmt.Errorf("%s: %w", guest.Config, err)
	}
	for _, d := range disks {
		device, err := findDevice(d.Name)
		if err != nil {
			return nil, err
		}
		if err := mount(device, d.MountPoint(), d.Filesystem, d.Options); err != nil {
			return nil, err
		}
	}
	return disks, nil
}

// unmountDisks leaves the filesystems whole. A program may have unmounted one already.
func unmountDisks(disks []guest.Disk) error {
	for _, d := range disks {
		if err := unix.Unmount(d.MountPoint(), 0); err != nil && err != unix.EINVAL {
			return fmt.Errorf("unmount %s: %w", d.MountPoint(), err)
		}
	}
	return nil
}

// findDevice finds a disk by its serial number.
func findDevice(name string) (string, error) {
	serials, err := filepath.Glob("/sys/block/*/serial")
	if err != nil {
		return "", err
	}
	for _, path := range serials {
		serial, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if strings.TrimSpace(string(serial)) == name {
			return filepath.Join("/dev", filepath.Base(filepath.Dir(path))), nil
		}
	}
	return "", fmt.Errorf("none of %d disks is named %s", len(serials), name)
}

func mount(device, target, filesystem, options string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(device, target, filesystem, 0, options); err != nil {
		return fmt.Errorf("mount -t %s -o %q %s %s: %w", filesystem, options, device, target, err)
	}
	return nil
}
