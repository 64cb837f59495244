package metrics

import (
	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/store"
)

// volumeMetrics are exported per volume, where known says that there is a value.
var volumeMetrics = []struct {
	name, help string
	known      func(v store.VolumeStatus) bool
	value      func(v store.VolumeStatus) float64
}{
	{"hostdir_volume_capacity_bytes", "The capacity of the volume.", always,
		func(v store.VolumeStatus) float64 { return float64(v.CapacityBytes) }},
	{"hostdir_volume_used_bytes", "What the volume held when it was last counted.", counted,
		func(v store.VolumeStatus) float64 { return float64(v.Usage.Bytes) }},
	{"hostdir_volume_used_inodes", "Files and directories in the volume when it was last counted; not known on btrfs.", countedInodes,
		func(v store.VolumeStatus) float64 { return float64(v.Usage.Inodes) }},
	{"hostdir_volume_counted_timestamp_seconds", "When the volume was last counted.", counted,
		func(v store.VolumeStatus) float64 { return float64(v.Usage.At.UnixMilli()) / 1000 }},
	{"hostdir_volume_enforced", "1 if a quota holds the volume to its capacity, 0 if that is advisory.", always,
		func(v store.VolumeStatus) float64 { return one(v.Enforced) }},
}

func always(store.VolumeStatus) bool { return true }

func counted(v store.VolumeStatus) bool { return !v.Usage.At.IsZero() }

func countedInodes(v store.VolumeStatus) bool {
	return counted(v) && (v.Quota == nil || v.Quota.Kind != quota.Btrfs)
}

// writeVolumes leaves out volumes in quarantine: nothing but their ID is known.
func writeVolumes(e *exposition, volumes []store.VolumeStatus) {
	for _, m := range volumeMetrics {
		e.family(m.name, gauge, m.help+" namespace, claim and volume are what it was made for.")
		for _, v := range volumes {
			if v.Quarantine == nil && m.known(v) {
				e.sample(labels{
					{"namespace", v.Claim.Namespace},
					{"claim", v.Claim.Name},
					{"volume", v.Name}, // the PersistentVolume's
					{"pool", v.Pool},
				}, m.value(v))
			}
		}
	}
}
