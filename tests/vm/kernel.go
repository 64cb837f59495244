package vm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hostdir/hostdir/tests/cluster/flock"
)

// kernelPackage always depends on Debian's newest kernel for virtual machines.
const kernelPackage = "linux-image-cloud-amd64"

// Modules that the machine loads, apart from those that they depend on.
var (
	always      = []string{"virtio_pci", "virtio_console", "virtio_blk", "loop"}
	filesystems = map[string][]string{
		"xfs":   {"xfs"},
		"ext4":  {"quota_v2"}, // ext4 itself is no module; this is the format of its quotas
		"btrfs": {"btrfs"},
	}
)

// kernel is one that is ready to boot.
type kernel struct {
	image   string
	modules []string // files, each after those that it needs
}

// fetchKernel finds Debian's current kernel in the cache, or downloads it there. It installs nothing.
func fetchKernel(disks []Disk, say func(string, ...any)) (kernel, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return kernel{}, err
	}
	cache = filepath.Join(cache, "hostdir", "vm")
	unlock, err := flock.Folder(cache, func() { say("waiting for another process that downloads the kernel") })
	if err != nil {
		return kernel{}, err
	}
	defer unlock()
	p, err := findPackage(say)
	if err != nil {
		return kernel{}, err
	}
	dir := filepath.Join(cache, p.name+"_"+p.version)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		say("downloading %s %s", p.name, p.version)
		if err := download(cache, dir, p); err != nil {
			return kernel{}, fmt.Errorf("download the kernel: %w", err)
		}
	} else if err != nil {
		return kernel{}, err
	}
	wanted := slices.Clone(always)
	for _, d := range disks {
		wanted = append(wanted, filesystems[d.Filesystem]...)
	}
	modules, err := orderModules(dir, wanted)
	if err != nil {
		return kernel{}, err
	}
	return kernel{filepath.Join(dir, "boot", strings.Replace(p.name, "linux-image", "vmlinuz", 1)), modules}, nil
}

// debian is a version of a Debian package.
type debian struct{ name, version string }

// findPackage asks apt, which needs no network, for the kernel that is Debian's current one.
func findPackage(say func(string, ...any)) (debian, error) {
	p, err := currentKernel()
	if err == nil {
		return p, nil
	}
	// A fresh machine knows of no packages yet.
	say("apt-get update")
	if _, err := apt("", "apt-get", "update", "-q"); err != nil {
		return debian{}, err
	}
	return currentKernel()
}

var dependsOnKernel = regexp.MustCompile(`(?m)^Depends:.*?(linux-image-[^\s,]+)`)

func currentKernel() (debian, error) {
	meta, err := apt("", "apt-cache", "show", "--no-all-versions", kernelPackage)
	if err != nil {
		return debian{}, err
	}
	kernel := dependsOnKernel.FindStringSubmatch(meta)
	if kernel == nil {
		return debian{}, fmt.Errorf("the package %s depends on no kernel:\n%s", kernelPackage, meta)
	}
	version, err := apt("", "apt-cache", "show", "--no-all-versions", kernel[1])
	if err != nil {
		return debian{}, err
	}
	for line := range strings.Lines(version) {
		if v, ok := strings.CutPrefix(line, "Version: "); ok {
			return debian{kernel[1], strings.TrimSpace(v)}, nil
		}
	}
	return debian{}, fmt.Errorf("apt-cache tells no version of %s:\n%s", kernel[1], version)
}

// download unpacks the package aside and renames it into place, so that what is there is whole. What was there
// before goes: no other version will be asked for any more.
func download(cache, dir string, p debian) error {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(cache, e.Name())); err != nil {
			return err
		}
	}
	aside := filepath.Join(cache, ".unpacking")
	if err := os.Mkdir(aside, 0o755); err != nil {
		return err
	}
	if _, err := apt(aside, "apt-get", "download", "-q", p.name+"="+p.version); err != nil {
		return err
	}
	deb, err := filepath.Glob(filepath.Join(aside, "*.deb"))
	if err != nil || len(deb) != 1 {
		return fmt.Errorf("apt-get download left %q (%v), not one package", deb, err)
	}
	if _, err := apt(aside, "dpkg-deb", "-x", deb[0], "."); err != nil {
		return err
	}
	if err := os.Remove(deb[0]); err != nil {
		return err
	}
	// Debian 13 compresses modules; we read them.
	if _, err := apt(aside, "find", ".", "-name", "*.ko.xz", "-exec", "unxz", "{}", "+"); err != nil {
		return err
	}
	return os.Rename(aside, dir)
}

// apt runs one of Debian's tools in dir and returns what it says.
func apt(dir, tool string, args ...string) (string, error) {
	cmd := exec.Command(tool, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %q: %w\n%s", tool, args, err, out)
	}
	return string(out), nil
}
