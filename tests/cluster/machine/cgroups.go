package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A hierarchy is one tree of cgroups: the only one of version 2, or one of several of version 1.
type hierarchy struct {
	mountPoint string
	version2   bool
	// options are the mount options that name a version 1 hierarchy: its controllers, or name=...
	options string
}

const cgroupRoot = "/sys/fs/cgroup"

// findHierarchies finds the hierarchies that the host has mounted below /sys/fs/cgroup.
func findHierarchies() ([]hierarchy, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	found := parseHierarchies(string(text))
	if len(found) == 0 {
		return nil, errors.New("no cgroups are mounted below " + cgroupRoot)
	}
	return found, nil
}

// parseHierarchies reads /proc/self/mountinfo, see proc_pid_mountinfo(5).
func parseHierarchies(mountinfo string) []hierarchy {
	var found []hierarchy
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(strings.TrimSpace(line), " - ")
		mount, filesystem := strings.Fields(before), strings.Fields(after)
		if len(mount) < 5 || len(filesystem) < 3 || !strings.HasPrefix(mount[4]+"/", cgroupRoot+"/") {
			continue
		}
		switch h := (hierarchy{mountPoint: mount[4]}); filesystem[0] {
		case "cgroup2":
			h.version2 = true
			found = append(found, h)
		case "cgroup":
			h.options = controllers(filesystem[2])
			found = append(found, h)
		}
	}
	return found
}

// controllers drops what does not name the hierarchy from a version 1 mount's options.
func controllers(options string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(options, ","), func(o string) bool {
		return o == "rw" || o == "ro" || o == "xattr" || o == "noprefix" || o == "clone_children" ||
			strings.HasPrefix(o, "release_agent=")
	}), ",")
}

// enterCgroups makes the machine's cgroup in each hierarchy, moves this process there, and makes it the root that
// the machine sees, so that its containers' cgroups are below it.
func enterCgroups(hierarchies []hierarchy, cgroup string) error {
	for _, h := range hierarchies {
		dir := h.mountPoint
		for part := range strings.SplitSeq(cgroup, "/") {
			parent := dir
			dir = filepath.Join(dir, part)
			if err := h.makeCgroup(parent, dir); err != nil {
				return err
			}
		}
		if err := enter(dir); err != nil {
			return err
		}
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("make a cgroup namespace: %w", err)
	}
	for _, h := range hierarchies {
		if !h.version2 {
			continue
		}
		// Version 2 gives controllers only to cgroups whose parent holds no processes: so ours go one further down.
		dir := filepath.Join(h.mountPoint, cgroup)
		leaf := filepath.Join(dir, "machine")
		if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make cgroup: %w", err)
		}
		if err := enter(leaf); err != nil {
			return err
		}
		if err := delegate(dir); err != nil {
			return err
		}
	}
	return nil
}

// makeCgroup makes dir, a cgroup in parent, such that processes can enter it.
func (h hierarchy) makeCgroup(parent, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make cgroup: %w", err)
	}
	if h.version2 {
		return delegate(parent)
	}
	if !slices.Contains(strings.Split(h.options, ","), "cpuset") {
		return nil
	}
	// A new cpuset has no processors and takes no processes until it is given some.
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, file))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), value, 0); err != nil {
			return err
		}
	}
	return nil
}

// delegate gives a version 2 cgroup's controllers to its children. One that the kernel keeps back, as it does with
// cpu while there are real-time processes, is left out: no pod starts or fails for it.
func delegate(dir string) error {
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(available)) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0); err != nil {
			say("cgroup controller %s is not available: %v", controller, err)
		}
	}
	return nil
}

// enter moves this process, with all its threads, into the cgroup.
func enter(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
		return fmt.Errorf("enter cgroup: %w", err)
	}
	return nil
}

// mountCgroups mounts the hierarchies again at their places, this time as the machine sees them.
func mountCgroups(hierarchies []hierarchy) error {
	if len(hierarchies) > 1 {
		if err := mountAt(cgroupRoot, "tmpfs", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0755"); err != nil {
			return err
		}
	}
	for _, h := range hierarchies {
		if err := os.MkdirAll(h.mountPoint, 0o755); err != nil {
			return err
		}
		fstype := "cgroup"
		if h.version2 {
			fstype = "cgroup2"
		}
		if err := mountAt(h.mountPoint, fstype, fstype, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, h.options); err != nil {
			return err
		}
		// cpu,cpuacct is mounted once and known by either name.
		for name := range strings.SplitSeq(h.options, ",") {
			link := filepath.Join(cgroupRoot, name)
			if name != "" && !strings.Contains(name, "=") && link != h.mountPoint {
				if err := os.Symlink(h.mountPoint, link); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// removeCgroups removes the cgroups of a machine that has ended, from the leaves up, and the empty ones above.
func removeCgroups(cgroup string) error {
	hierarchies, err := findHierarchies()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		top := filepath.Join(h.mountPoint, cgroup)
		var dirs []string
		filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			if err := removeCgroup(dir); err != nil {
				return err
			}
		}
		for dir := filepath.Dir(top); dir != h.mountPoint; dir = filepath.Dir(dir) {
			if os.Remove(dir) != nil { // other machines are still in it
				break
			}
		}
	}
	return nil
}

// removeCgroup removes one cgroup. The kernel calls it busy for a moment after its last process has ended.
func removeCgroup(dir string) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := os.Remove(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
}
