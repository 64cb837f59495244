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
	dir, err := unpackKernel(cache, say)
	if err != nil {
		return kernel{}, fmt.Errorf("get the package %s: %w", kernelPackage, err)
	}
	wanted := slices.Clone(always)
	for _, d := range disks {
		wanted = append(wanted, filesystems[d.Filesystem]...)
	}
	modules, err := orderModules(dir, wanted)
	if err != nil {
		return kernel{}, err
	}
	images, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return kernel{}, fmt.Errorf("%s/boot has the kernels %q (%v): one is expected", dir, images, err)
	}
	return kernel{images[0], modules}, nil
}

// debian is a version of a Debian package.
type debian struct{ name, version string }

// unpackKernel returns the folder of Debian's current kernel below cache.
func unpackKernel(cache string, say func(string, ...any)) (string, error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "", fmt.Errorf("it comes from Debian, and this machine is another: %w", err)
	}
	dir, err := unpackKnownKernel(cache, say)
	if err == nil {
		return dir, nil
	}
	// A fresh machine knows of no packages, and one that nobody has updated asks for some that are gone.
	say("apt-get update, because of: %v", err)
	if _, err := run("", "apt-get", "update", "-q"); err != nil {
		return "", err
	}
	return unpackKnownKernel(cache, say)
}

func unpackKnownKernel(cache string, say func(string, ...any)) (string, error) {
	p, err := currentKernel()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, p.name+"_"+p.version)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	say("downloading %s %s", p.name, p.version)
	return dir, download(cache, dir, p)
}

var dependsOnKernel = regexp.MustCompile(`(?m)^Depends:.*?(linux-image-[^\s,]+)`)

// currentKernel asks apt, which needs no network for that.
func currentKernel() (debian, error) {
	meta, err := run("", "apt-cache", "show", "--no-all-versions", kernelPackage)
	if err != nil {
		return debian{}, err
	}
	kernel := dependsOnKernel.FindStringSubmatch(meta)
	if kernel == nil {
		return debian{}, fmt.Errorf("the package %s depends on no kernel:\n%s", kernelPackage, meta)
	}
	version, err := run("", "apt-cache", "show", "--no-all-versions", kernel[1])
	if err != nil {
		return debian{}, err
	}
	for line := range strings.Lines(version) {
		if v, ok := strings.CutPrefix(line, "Version: "); ok {
			return debian{kernel[1], strings.TrimSpace(v)}, nil
		}
	}
	return debian{}, fmt.Errorf("apt-cache knows no version of %s:\n%s", kernel[1], version)
}

// download unpacks the package aside and renames it into place, so that what is there is whole. What was there
// before goes: no other version will be asked for any more.
func download(cache, dir string, p debian) error {
	versions, err := filepath.Glob(filepath.Join(cache, "linux-image-*"))
	if err != nil {
		return err
	}
	aside := filepath.Join(cache, ".unpacking")
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := os.Mkdir(aside, 0o755); err != nil {
		return err
	}
	if _, err := run(aside, "apt-get", "download", "-q", p.name+"="+p.version); err != nil {
		return err
	}
	deb, err := filepath.Glob(filepath.Join(aside, "*.deb"))
	if err != nil || len(deb) != 1 {
		return fmt.Errorf("apt-get download left %q (%v), not one package", deb, err)
	}
	if _, err := run(aside, "dpkg-deb", "-x", deb[0], "."); err != nil {
		return err
	}
	if err := os.Remove(deb[0]); err != nil {
		return err
	}
	// Debian 13 compresses modules; we read them.
	if _, err := run(aside, "find", ".", "-name", "*.ko.xz", "-exec", "unxz", "{}", "+"); err != nil {
		return err
	}
	for _, v := range versions {
		if err := os.RemoveAll(v); err != nil {
			return err
		}
	}
	return os.Rename(aside, dir)
}

// run runs a command in dir and returns what it says.
func run(dir, tool string, args ...string) (string, error) {
	cmd := exec.Command(tool, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %q: %w\n%s", tool, args, err, out)
	}
	return string(out), nil
}
