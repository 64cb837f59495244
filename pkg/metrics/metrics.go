// Package metrics reports to Prometheus what the node plugin has, holds and does.
//
// Figures of disks and volumes are read from the store when they are
// asked for, and written one after the other; nothing is kept between two scrapes.
// That is why the text format is written here. The client library collects all
// samples before it writes the first: those of ten thousand volumes are 33 MB in
// its version 1.24, more than all else that the plugin keeps. Written at once they
// need a buffer of 32 KiB.
package metrics

import (
	"net/http"
	"runtime"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/store"
)

// Metrics is an http.Handler that answers with all metrics. How many ask at a
// time, and how slowly they may read, is for the server to bound.
type Metrics struct {
	Version string
	Store   *store.Store
	Calls   *Calls
}

// ServeHTTP implements http.Handler.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", contentType)
	e := newExposition(w)
	e.family("hostdir_build_info", gauge, "The version of hostdir; always 1.")
	e.sample(labels{{"version", m.Version}, {"goversion", runtime.Version()}}, 1)
	writeStore(e, m.Store)
	m.Calls.snapshot().write(e)
	if err := e.flush(); err != nil {
		klog.FromContext(r.Context()).V(4).Info("metrics not sent in full", "reason", err.Error())
	}
}

func writeStore(e *exposition, s *store.Store) {
	e.family("hostdir_config_valid", gauge, "1 if the configuration file is in force, 0 if it was refused and the last good one is.")
	e.sample(nil, one(s.ConfigError() == ""))
	volumes := s.VolumeStatus()
	writeDisks(e, s.Status(), quarantined(volumes))
	writeVolumes(e, volumes)
}

func one(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}

// quarantined counts the volumes in quarantine, by the path of their disk.
func quarantined(volumes []store.VolumeStatus) map[string]int {
	n := map[string]int{}
	for _, v := range volumes {
		if v.Quarantine != nil {
			n[v.Disk]++
		}
	}
	return n
}

// diskMetrics are exported per disk; those with always set also while it was never
// in use.
var diskMetrics = []struct {
	name, help string
	always     bool
	value      func(s store.Status) float64
}{
	{"hostdir_disk_up", "1 if the disk can be used, 0 if not.", true,
		func(s store.Status) float64 { return one(s.Err == nil) }},
	{"hostdir_disk_cordoned", "1 if the disk takes no new volumes because somebody wants that, 0 if it does.", true,
		func(s store.Status) float64 { return one(s.Cordoned != nil) }},
	{"hostdir_disk_enforces", "1 if new volumes are held to their capacity by quotas, 0 if capacity is advisory.", false,
		func(s store.Status) float64 { return one(s.Quota != quota.None) }},
	{"hostdir_disk_size_bytes", "Size of the disk's filesystem.", false,
		func(s store.Status) float64 { return float64(s.Space.SizeBytes) }},
	{"hostdir_disk_free_bytes", "What is free on the disk's filesystem.", false,
		func(s store.Status) float64 { return float64(s.Space.FreeBytes) }},
	{"hostdir_disk_measured_timestamp_seconds", "When the disk's filesystem was looked at last.", false,
		func(s store.Status) float64 { return float64(s.Space.MeasuredAt.UnixMilli()) / 1000 }},
	{"hostdir_disk_allocated_bytes", "What is allocated to the disk's volumes and snapshots.", true,
		func(s store.Status) float64 { return float64(s.AllocatedBytes) }},
	{"hostdir_disk_available_bytes", "What can still be allocated on the disk; disks on one filesystem share it.", true,
		func(s store.Status) float64 { return float64(s.Space.AvailableBytes) }},
	{"hostdir_disk_volumes", "Volumes on the disk.", true,
		func(s store.Status) float64 { return float64(s.Volumes) }},
	{"hostdir_disk_snapshots", "Snapshots on the disk.", true,
		func(s store.Status) float64 { return float64(s.Snapshots) }},
	{"hostdir_disk_snapshot_bytes", "What the disk's snapshots hold, and are allocated.", true,
		func(s store.Status) float64 { return float64(s.SnapshotBytes) }},
	{"hostdir_disk_unready_snapshots", "Snapshots that are being made.", false,
		func(s store.Status) float64 { return float64(s.UnreadySnapshots) }},
	{"hostdir_disk_quarantined_snapshots", "Snapshots that are neither restored nor deleted, for their record cannot be read.", false,
		func(s store.Status) float64 { return float64(s.QuarantinedSnapshots) }},
	{"hostdir_disk_other_node_volumes", "Volumes on the disk that were made on another node.", false,
		func(s store.Status) float64 { return float64(madeElsewhere(s)) }},
	{"hostdir_disk_trash_volumes", "Deleted volumes whose files are not removed yet.", false,
		func(s store.Status) float64 { return float64(s.Space.Trash) }},
	{"hostdir_disk_trash_stuck_volumes", "Deleted volumes that could not be removed when it was tried.", false,
		func(s store.Status) float64 { return float64(s.Space.Stuck) }},
}

func writeDisks(e *exposition, disks []store.Status, quarantined map[string]int) {
	seen := func(s store.Status) bool { return !s.Space.MeasuredAt.IsZero() }
	for _, m := range diskMetrics {
		e.family(m.name, gauge, m.help)
		for _, d := range disks {
			if m.always || seen(d) {
				e.sample(diskLabels(d), m.value(d))
			}
		}
	}
	e.family("hostdir_disk_unusable", gauge, "Why the disk cannot be used, in the label reason; always 1.")
	for _, d := range disks {
		if d.Reason != "" {
			e.sample(append(diskLabels(d), [2]string{"reason", string(d.Reason)}), 1)
		}
	}
	e.family("hostdir_disk_info", gauge, "The UUID of the disk that is used, as in the IDs of its volumes; always 1.")
	for _, d := range disks {
		if d.UUID != "" && d.Err == nil {
			e.sample(append(diskLabels(d), [2]string{"uuid", d.UUID}), 1)
		}
	}
	e.family("hostdir_disk_trash_evicted_total", counter, "Deleted volumes that were removed before their time because the filesystem was full.")
	for _, d := range disks {
		e.sample(diskLabels(d), float64(d.Evicted))
	}
	e.family("hostdir_disk_quarantined_volumes", gauge, "Volumes that are neither published nor deleted, for their record cannot be read.")
	for _, d := range disks {
		if seen(d) {
			e.sample(diskLabels(d), float64(quarantined[d.Path]))
		}
	}
}

func madeElsewhere(s store.Status) (volumes int) {
	for _, n := range s.OtherNodes {
		volumes += n.Volumes
	}
	return volumes
}

func diskLabels(s store.Status) labels {
	return labels{{"pool", s.Pool}, {"path", s.Path}}
}
