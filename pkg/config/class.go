package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// DefaultPool is the pool of a StorageClass that names none.
const DefaultPool = "default"

// Class is what a StorageClass's parameters ask for. The record of a volume
// keeps it, so that it outlives the StorageClass.
type Class struct {
	// Name is the name of the StorageClass where its parameters say it: CSI does not.
	Name string `json:"name,omitempty"`
	// Pool is the name of the pool.
	Pool string `json:"pool"`
	// Mode is the permission of the data directory, in octal. Only pods reach
	// it, because the disk's directory above it is root's alone.
	Mode string `json:"mode"`
	// UID and GID own the data directory. A pod's fsGroup changes the group.
	UID uint32 `json:"uid"`
	GID uint32 `json:"gid"`
	// Quota says whether the capacity is enforced.
	Quota QuotaPolicy `json:"quota"`
	// TrashTTL is how long a deleted volume is kept, as time.ParseDuration reads
	// it. Empty leaves it to the pool.
	TrashTTL string `json:"trashTTL,omitempty"`
	// Inodes is how many files and directories a volume may hold where its capacity
	// is enforced: a number, "none" for no limit, or empty for a share.
	Inodes string `json:"inodes,omitempty"`
	// Reuse and OnNodeLoss are for hostdir-controller, which reads them in the
	// attributes of the PersistentVolume.
	Reuse      ReusePolicy    `json:"reuse,omitempty"`
	OnNodeLoss NodeLossPolicy `json:"onNodeLoss,omitempty"`
}

// QuotaPolicy is the parameter "quota".
type QuotaPolicy string

const (
	// QuotaAuto enforces the capacity where the filesystem can.
	QuotaAuto QuotaPolicy = "auto"
	// QuotaRequired refuses disks whose filesystem cannot enforce it.
	QuotaRequired QuotaPolicy = "required"
	// QuotaOff never enforces it.
	QuotaOff QuotaPolicy = "off"
)

// ReusePolicy is the parameter "reuse": who gets the volume of a claim that was
// deleted.
type ReusePolicy string

const (
	// ReuseNever leaves that to the class's reclaimPolicy.
	ReuseNever ReusePolicy = ""
	// ReuseSameClaim keeps it for the claim of that name in that namespace.
	ReuseSameClaim ReusePolicy = "same-claim"
)

// NodeLossPolicy is the parameter "onNodeLoss": what becomes of a volume whose node
// is gone for good.
type NodeLossPolicy string

const (
	// NodeLossKeep keeps claim and PersistentVolume: the node may come back.
	NodeLossKeep NodeLossPolicy = ""
	// NodeLossRelease lets go of PersistentVolumes that no claim uses.
	NodeLossRelease NodeLossPolicy = "release"
	// NodeLossRecreate also deletes the claims of pods that wait for the node, so
	// that their StatefulSet makes them anew elsewhere, and empty.
	NodeLossRecreate NodeLossPolicy = "recreate"
)

// ParseReuse reads the parameter "reuse".
func ParseReuse(s string) (ReusePolicy, error) {
	switch s {
	case "never":
		return ReuseNever, nil
	case string(ReuseSameClaim):
		return ReuseSameClaim, nil
	}
	return "", errors.New("is neither never nor same-claim")
}

// ParseNodeLoss reads the parameter "onNodeLoss".
func ParseNodeLoss(s string) (NodeLossPolicy, error) {
	switch p := NodeLossPolicy(s); p {
	case "keep":
		return NodeLossKeep, nil
	case NodeLossRelease, NodeLossRecreate:
		return p, nil
	}
	return "", errors.New("is none of keep, release and recreate")
}

// ParseClass reads the parameters of a StorageClass. An unknown one is an
// error: ignoring it would promise something that is not kept.
func ParseClass(parameters map[string]string) (Class, error) {
	c := Class{Pool: DefaultPool, Mode: "0777", Quota: QuotaAuto}
	for key, value := range parameters {
		var err error
		switch key {
		case "className":
			c.Name, err = ParseClassName(value)
		case "pool":
			c.Pool = value
			if !IsLabel(value) {
				err = errors.New("is not a pool's name; pools are named in hostdir's configuration")
			}
		case "mode":
			c.Mode, err = parseMode(value)
		case "uid":
			c.UID, err = parseOwner(value)
		case "gid":
			c.GID, err = parseOwner(value)
		case "quota":
			c.Quota = QuotaPolicy(value)
			if c.Quota != QuotaAuto && c.Quota != QuotaRequired && c.Quota != QuotaOff {
				err = errors.New("is none of auto, required and off")
			}
		case "trashTTL":
			c.TrashTTL, err = ParseTTL(value)
		case "inodes":
			c.Inodes, err = ParseInodes(value)
		case ReuseKey:
			c.Reuse, err = ParseReuse(value)
		case NodeLossKey:
			c.OnNodeLoss, err = ParseNodeLoss(value)
		default:
			return Class{}, fmt.Errorf("%w: unknown StorageClass parameter %q; known are pool, mode, uid, gid, quota, trashTTL, inodes, reuse, onNodeLoss, className and csi.storage.k8s.io/fstype", errdefs.ErrInvalid, key)
		}
		if err != nil {
			return Class{}, fmt.Errorf("%w: StorageClass parameter %s=%q %w", errdefs.ErrInvalid, key, value, err)
		}
	}
	if n, _ := c.InodeLimit(); n > 0 && c.Quota == QuotaOff {
		return Class{}, fmt.Errorf("%w: StorageClass parameter inodes=%q is a limit, and quota=%q enforces none: leave out one of them", errdefs.ErrInvalid, c.Inodes, QuotaOff)
	}
	return c, nil
}

// The parameters that are also attributes of the PersistentVolume.
const (
	ReuseKey    = "reuse"
	NodeLossKey = "onNodeLoss"
)

// Attributes returns the part of the class that goes into the PersistentVolume's
// attributes: what hostdir-controller, which has no disks, needs to know.
func (c Class) Attributes() map[string]string {
	attributes := map[string]string{}
	if c.Reuse != ReuseNever {
		attributes[ReuseKey] = string(c.Reuse)
	}
	if c.OnNodeLoss != NodeLossKeep {
		attributes[NodeLossKey] = string(c.OnNodeLoss)
	}
	return attributes
}

// String lists the parameters, for messages.
func (c Class) String() string {
	text := fmt.Sprintf("pool=%s mode=%s uid=%d gid=%d quota=%s", c.Pool, c.Mode, c.UID, c.GID, c.Quota)
	if c.TrashTTL != "" {
		text += " trashTTL=" + c.TrashTTL
	}
	if c.Inodes != "" {
		text += " inodes=" + c.Inodes
	}
	if c.Reuse != ReuseNever {
		text += " reuse=" + string(c.Reuse)
	}
	if c.OnNodeLoss != NodeLossKeep {
		text += " onNodeLoss=" + string(c.OnNodeLoss)
	}
	if c.Name != "" {
		text += " className=" + c.Name
	}
	return text
}

// classNamePattern is what Kubernetes allows in names of StorageClasses.
var classNamePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// ParseClassName checks the name of a StorageClass.
func ParseClassName(s string) (string, error) {
	if len(s) > 253 || !classNamePattern.MatchString(s) {
		return "", errors.New("is not the name of a StorageClass")
	}
	return s, nil
}

// parseMode accepts permissions, setgid and the sticky bit. Setuid means
// nothing on a directory.
func parseMode(s string) (string, error) {
	mode, err := strconv.ParseUint(s, 8, 32)
	if err != nil || mode > 0o3777 || strings.HasPrefix(s, "+") {
		return "", errors.New("is not an octal directory mode such as 0777 or 2770")
	}
	return fmt.Sprintf("%04o", mode), nil
}

// parseOwner leaves out the highest ID: chown(2) takes it for "unchanged".
func parseOwner(s string) (uint32, error) {
	id, err := strconv.ParseUint(s, 10, 32)
	if err != nil || id == 1<<32-1 {
		return 0, errors.New("is not a numeric user or group ID")
	}
	return uint32(id), nil
}

// FileMode returns the number behind Mode, which ParseClass has checked.
func (c Class) FileMode() uint32 {
	mode, _ := strconv.ParseUint(c.Mode, 8, 32)
	return uint32(mode)
}

// ParseTTL checks how long deleted volumes are kept, and writes it as a Class has
// it.
func ParseTTL(s string) (string, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return "", errors.New("is not a duration such as 30m or 168h")
	}
	return d.String(), nil
}

// TTL returns the duration behind TrashTTL, and whether there is one.
func (c Class) TTL() (d time.Duration, ok bool) {
	if c.TrashTTL == "" {
		return 0, false
	}
	d, err := time.ParseDuration(c.TrashTTL)
	return d, err == nil && d >= 0
}

// noInodeLimit is Class.Inodes where files are not counted.
const noInodeLimit = "none"

// minInodes leaves room for the volume's own directory and a few files.
const minInodes = 16

// ParseInodes checks how many files a volume may hold, and writes it as a Class has
// it.
func ParseInodes(s string) (string, error) {
	if s == noInodeLimit {
		return s, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < minInodes || strings.HasPrefix(s, "+") {
		return "", fmt.Errorf("is neither %q nor a number of files, of at least %d", noInodeLimit, minInodes)
	}
	return strconv.FormatInt(n, 10), nil
}

// InodeLimit returns the number behind Inodes, 0 for no limit, and whether the class
// says any.
func (c Class) InodeLimit() (n int64, ok bool) {
	if c.Inodes == noInodeLimit {
		return 0, true
	}
	n, err := strconv.ParseInt(c.Inodes, 10, 64)
	return n, err == nil
}
