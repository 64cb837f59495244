package reuse

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	written = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hostdir_controller_reuse_writes_total",
		Help: "What was written to keep volumes for claims of the same name, by action.",
	}, []string{"action"})
	noticed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hostdir_controller_reuse_events_total",
		Help: "What people were told about volumes that are kept for claims of the same name, by reason.",
	}, []string{"reason"})
)

func init() { metrics.Registry.MustRegister(written, noticed) }
