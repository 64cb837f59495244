package restore

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	steps = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hostdir_controller_restore_writes_total",
		Help: "What was written to bring claims to the node that has what they begin as, by step.",
	}, []string{"step"})
	noticed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hostdir_controller_restore_events_total",
		Help: "What people were told about claims that begin as a copy, by reason.",
	}, []string{"reason"})
	held = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "hostdir_controller_restore_refused_claims",
		Help: "Claims that wait because the node that has what they begin as has refused them, most likely for want of room.",
	})
)

func init() { metrics.Registry.MustRegister(steps, noticed, held) }
