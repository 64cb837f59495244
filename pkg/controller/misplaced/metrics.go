package misplaced

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var noticed = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "hostdir_controller_misplaced_events_total",
	Help: "Pods that were evicted because they were placed away from their volume, by reason of the event.",
}, []string{"reason"})

func init() { metrics.Registry.MustRegister(noticed) }
