package config

import (
	"fmt"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// SnapshotClass is what a VolumeSnapshotClass's parameters ask for.
type SnapshotClass struct {
	Consistency Consistency
	Copy        CopyPolicy
}

// Consistency is the parameter "consistency": what a snapshot must be, or none is made.
type Consistency string

const (
	// ConsistencyAny takes whatever the filesystem can do: pods may write meanwhile.
	ConsistencyAny Consistency = "any"
	// ConsistencyIdle wants that no pod can write meanwhile.
	ConsistencyIdle Consistency = "idle"
	// ConsistencyAtomic wants all files as they are at one moment, also while pods write.
	ConsistencyAtomic Consistency = "atomic"
)

// CopyPolicy is the parameter "copy": whether files are copied where the filesystem cannot
// share their blocks.
type CopyPolicy string

const (
	CopyAuto  CopyPolicy = "auto"
	CopyNever CopyPolicy = "never"
)

// ParseSnapshotClass reads the parameters of a VolumeSnapshotClass. An unknown one is an
// error: ignoring it would promise something that is not kept.
func ParseSnapshotClass(parameters map[string]string) (SnapshotClass, error) {
	c := SnapshotClass{Consistency: ConsistencyAny, Copy: CopyAuto}
	for key, value := range parameters {
		choices := ""
		switch key {
		case "consistency":
			switch c.Consistency = Consistency(value); c.Consistency {
			case ConsistencyAny, ConsistencyIdle, ConsistencyAtomic:
			default:
				choices = "any, idle and atomic"
			}
		case "copy":
			switch c.Copy = CopyPolicy(value); c.Copy {
			case CopyAuto, CopyNever:
			default:
				choices = "auto and never"
			}
		default:
			return SnapshotClass{}, fmt.Errorf("%w: unknown VolumeSnapshotClass parameter %q; known are consistency and copy", errdefs.ErrInvalid, key)
		}
		if choices != "" {
			return SnapshotClass{}, fmt.Errorf("%w: VolumeSnapshotClass parameter %s=%q is none of %s", errdefs.ErrInvalid, key, value, choices)
		}
	}
	return c, nil
}
