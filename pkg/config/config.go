package config

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path"
	"regexp"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Config is the configuration file: the pools of every node.
type Config struct {
	// Pools are the pools of all nodes that no entry of Nodes matches.
	Pools []Pool `json:"pools"`
	// Nodes gives some nodes pools of their own. The first match wins.
	Nodes []NodeConfig `json:"nodes,omitempty"`
	// ProjectIDs are the IDs that volumes get on XFS and ext4.
	ProjectIDs IDRange `json:"projectIDs,omitzero"`
	// Import are the directories in which volumes that others have made may lie, to be
	// imported.
	Import ImportRoots `json:"import,omitempty"`
}

// IDRange is a range of project IDs, both ends included.
type IDRange struct {
	First uint32 `json:"first"`
	Last  uint32 `json:"last"`
}

// defaultProjectIDs are far from those that docker, podman (from 1 up) and
// kubelet (from 1048577 up) take on the same filesystems.
var defaultProjectIDs = IDRange{First: 1 << 24, Last: 1<<25 - 1}

// NodeConfig gives the nodes whose name matches one of the globs in Match other
// pools than Config.Pools.
type NodeConfig struct {
	Match []string `json:"match"`
	Pools []Pool   `json:"pools"`
}

// Pool is what a StorageClass names with its parameter "pool".
type Pool struct {
	Name string `json:"name"`
	// Paths are absolute paths of disks, or globs of them: see ExpandPaths.
	Paths []string `json:"paths"`
	// RequireMountPoint refuses a directory on which no filesystem is mounted,
	// so that a disk that is absent is never replaced by the directory below it.
	RequireMountPoint bool `json:"requireMountPoint,omitempty"`
	// SubPath is where beneath Paths, which are mount points then, the disks'
	// directories are. "" has hostdir use the whole filesystem.
	SubPath string `json:"subPath,omitempty"`
	// InitEmpty has a new disk made of an empty filesystem that is mounted where
	// another disk was: it is formatted anew at each boot.
	InitEmpty bool `json:"initEmpty,omitempty"`
	// Cordoned are the disks that take no new volumes: of Paths, or the disks'
	// directories themselves, or globs.
	Cordoned []string `json:"cordoned,omitempty"`
	// Reserve is kept free on each disk.
	Reserve Reserve `json:"reserve,omitzero"`
	// Overcommit is how much may be allocated, as a multiple of what the
	// filesystem has for volumes.
	Overcommit Overcommit `json:"overcommit,omitzero"`
	// TrashTTL is how long deleted volumes are kept whose class does not say.
	TrashTTL Duration `json:"trashTTL,omitzero"`
	// MinTrashTTL is how long they are kept at least when the disk runs full,
	// one hour if it is nil. It never makes the time longer.
	MinTrashTTL *Duration `json:"minTrashTTL,omitempty"`
}

const defaultMinTrashTTL = time.Hour

// KeepAtLeast returns MinTrashTTL, or what holds without it.
func (p Pool) KeepAtLeast() time.Duration {
	if p.MinTrashTTL == nil {
		return defaultMinTrashTTL
	}
	return time.Duration(*p.MinTrashTTL)
}

var labelPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// IsLabel reports whether s is a DNS label as Kubernetes has them (RFC 1123), such as the
// names of pools are, which become values of labels and words of messages.
func IsLabel(s string) bool { return len(s) <= 63 && labelPattern.MatchString(s) }

// ReadFile reads and checks the configuration file. An unknown field is an
// error: it is most likely a misspelt known one.
func ReadFile(file string) (Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return Parse(data)
}

// Parse is ReadFile for a configuration that was read already.
func Parse(data []byte) (Config, error) {
	var c Config
	if err := yaml.UnmarshalStrict(data, &c); err != nil {
		return Config{}, fmt.Errorf("configuration: %w: %w", errdefs.ErrInvalid, err)
	}
	if err := checkPools("pools", c.Pools); err != nil {
		return Config{}, err
	}
	c.ProjectIDs = cmp.Or(c.ProjectIDs, defaultProjectIDs)
	// 0 is everybody's and the highest number nobody's, see projid_t in the kernel.
	if ids := c.ProjectIDs; ids.First == 0 || ids.Last == math.MaxUint32 || ids.First > ids.Last {
		return Config{}, configError("projectIDs", "%d to %d is not a range of project IDs: it begins at 1 or above and ends below %d", ids.First, ids.Last, uint32(math.MaxUint32))
	}
	if err := c.checkImport("import", c.Pools); err != nil {
		return Config{}, err
	}
	for i, n := range c.Nodes {
		where := fmt.Sprintf("nodes[%d]", i)
		if len(n.Match) == 0 {
			return Config{}, configError(where+".match", "names no node; write [\"*\"] for all of them")
		}
		for _, glob := range n.Match {
			if _, err := path.Match(glob, ""); err != nil || !nodeGlobPattern.MatchString(glob) {
				return Config{}, configError(where+".match", "%q matches no node: it is a glob for the whole name, such as worker-* or db-[12], in lower case, and no regular expression", glob)
			}
		}
		if err := checkPools(where+".pools", n.Pools); err != nil {
			return Config{}, err
		}
		if err := c.checkImport("import", n.Pools); err != nil {
			return Config{}, err
		}
	}
	return c, nil
}

// nodeGlobPattern holds what globs of nodes' names consist of: names have lower-case
// letters, digits, dashes and dots. Anything else is a regular expression's.
var nodeGlobPattern = regexp.MustCompile(`^([a-z0-9.*?-]|\[\^?[a-z0-9.-]+\])+$`)

// PoolsFor returns the pools that the node of this name has, and the glob of the entry
// of nodes that they come from, "" if no entry is for this node.
func (c Config) PoolsFor(nodeName string) (pools []Pool, match string) {
	for _, n := range c.Nodes {
		for _, glob := range n.Match {
			if ok, _ := path.Match(glob, nodeName); ok {
				return n.Pools, glob
			}
		}
	}
	return c.Pools, ""
}

func checkPools(where string, pools []Pool) error {
	names := map[string]bool{}
	usedBy := map[string]string{}
	for i, p := range pools {
		at := fmt.Sprintf("%s[%d]", where, i)
		if !IsLabel(p.Name) {
			return configError(at+".name", "%q is not a pool's name: use lower-case letters, digits and dashes", p.Name)
		}
		if names[p.Name] {
			return configError(at+".name", "pool %q is there twice", p.Name)
		}
		names[p.Name] = true
		if len(p.Paths) == 0 {
			return configError(at+".paths", "pool %q has no path", p.Name)
		}
		for _, dir := range p.Paths {
			if err := checkPath(at+".paths", dir); err != nil {
				return err
			}
			dir = path.Join(dir, p.SubPath)
			if other, ok := usedBy[dir]; ok {
				return configError(at+".paths", "%q is in pool %q already", dir, other)
			}
			for other, pool := range usedBy {
				within := strings.HasPrefix(dir, other+"/") || strings.HasPrefix(other, dir+"/")
				if within && !isGlob(dir) && !isGlob(other) { // what globs find is told where it is found
					return configError(at+".paths", "%q of pool %q and %q of pool %q lie within each other: a disk's directory is hostdir's alone, so give each a directory beside the other", dir, p.Name, other, pool)
				}
			}
			usedBy[dir] = p.Name
		}
		if err := p.checkSubPath(at + ".subPath"); err != nil {
			return err
		}
		if p.InitEmpty && !p.RequireMountPoint {
			return configError(at+".initEmpty", "the directory below a mount point is empty as well while no disk is mounted: set requireMountPoint: true too")
		}
		for _, cordoned := range p.Cordoned {
			if err := checkPath(at+".cordoned", cordoned); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkPath checks the path of a disk, or a glob of such paths.
func checkPath(at, name string) error {
	if !strings.HasPrefix(name, "/") || path.Clean(name) != name || name == "/" {
		return configError(at, "%q is not the plain absolute path of a directory", name)
	}
	if err := checkGlob(name); err != nil {
		return configError(at, "%q is not a glob", name)
	}
	return nil
}

func (p Pool) checkSubPath(at string) error {
	switch sub := p.SubPath; {
	case sub == "":
		return nil
	case strings.HasPrefix(sub, "/") || path.Clean("/"+sub) != "/"+sub || sub == ".":
		return configError(at, "%q is not the plain path of a directory beneath a mount point, such as hostdir", sub)
	case isGlob(sub):
		return configError(at, "%q is a glob: each disk has one directory; globs belong in paths", sub)
	case !p.RequireMountPoint:
		return configError(at, "%q is beneath a mount point: set requireMountPoint: true, or write the whole path in paths", sub)
	}
	return nil
}

func configError(where, format string, args ...any) error {
	return fmt.Errorf("configuration: %w: %s: %s", errdefs.ErrInvalid, where, fmt.Sprintf(format, args...))
}
