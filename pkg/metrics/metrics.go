// Package metrics tells Prometheus what the node plugin has, holds and does.
//
// Figures of base directories and volumes are read from the store when they are
// asked for, and written out one after the other: a node with ten thousand
// volumes answers at once, and keeps nothing between two scrapes. That is why
// the text format is written here. The client library collects each answer in
// memory before it sends it, which takes more of that than the plugin has.
package metrics

import (
	"net/http"
	"runtime"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/store"
)

// Metrics is an http.Handler that answers with all metrics.
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
	writeBases(e, s.Status(), quarantined(volumes))
	writeVolumes(e, volumes)
}

func one(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}

// quarantined counts the volumes in quarantine, by the UUID of their base
// directory.
func quarantined(volumes []store.VolumeStatus) map[string]int {
	n := map[string]int{}
	for _, v := range volumes {
		if v.Quarantine == nil {
			continue
		}
		if id, err := store.ParseVolumeID(v.ID); err == nil {
			n[id.Base]++
		}
	}
	return n
}

// baseMetrics are those of each base directory, and whether they are known of
// one that cannot be used.
var baseMetrics = []struct {
	name, help string
	always     bool
	value      func(s store.Status) float64
}{
	{"hostdir_base_up", "1 if the base directory can be used, 0 if not.", true,
		func(s store.Status) float64 { return one(s.Err == nil) }},
	{"hostdir_base_enforces", "1 if new volumes are held to their capacity by quotas, 0 if capacity is advisory.", false,
		func(s store.Status) float64 { return one(s.Quota != quota.None) }},
	{"hostdir_base_size_bytes", "Size of the base directory's filesystem.", false,
		func(s store.Status) float64 { return float64(s.Room.SizeBytes) }},
	{"hostdir_base_free_bytes", "What is free on the base directory's filesystem.", false,
		func(s store.Status) float64 { return float64(s.Room.FreeBytes) }},
	{"hostdir_base_promised_bytes", "Sum of the capacities of the base directory's volumes.", true,
		func(s store.Status) float64 { return float64(s.PromisedBytes) }},
	{"hostdir_base_available_bytes", "What the base directory can still promise to volumes; base directories on one filesystem share it.", true,
		func(s store.Status) float64 { return float64(s.Room.AvailableBytes) }},
	{"hostdir_base_volumes", "Volumes in the base directory.", true,
		func(s store.Status) float64 { return float64(s.Volumes) }},
	{"hostdir_base_trash_volumes", "Deleted volumes whose files are not removed yet.", false,
		func(s store.Status) float64 { return float64(s.Room.Trash) }},
	{"hostdir_base_trash_stuck_volumes", "Deleted volumes that could not be removed when it was tried.", false,
		func(s store.Status) float64 { return float64(s.Room.Stuck) }},
}

func writeBases(e *exposition, bases []store.Status, quarantined map[string]int) {
	for _, m := range baseMetrics {
		e.family(m.name, gauge, m.help)
		for _, b := range bases {
			if m.always || b.Err == nil {
				e.sample(baseLabels(b), m.value(b))
			}
		}
	}
	e.family("hostdir_base_refused", gauge, "Why the base directory cannot be used, in the label reason; always 1.")
	for _, b := range bases {
		if b.Refusal != "" {
			e.sample(append(baseLabels(b), [2]string{"reason", string(b.Refusal)}), 1)
		}
	}
	e.family("hostdir_base_trash_shortened_total", counter, "Deleted volumes that were removed before their time because the pool ran full.")
	for _, b := range bases {
		e.sample(baseLabels(b), float64(b.Shortened))
	}
	e.family("hostdir_base_quarantined_volumes", gauge, "Volumes that are neither published nor deleted, for their record cannot be read.")
	for _, b := range bases {
		if b.Err == nil {
			e.sample(baseLabels(b), float64(quarantined[b.UUID]))
		}
	}
}

func baseLabels(b store.Status) labels {
	return labels{{"pool", b.Pool}, {"path", b.Path}}
}
