package misplaced

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	evictions = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "hostdir_controller_misplaced_evictions_total",
		Help: "Pods that were evicted because they were placed away from their volume.",
	})
	noticed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hostdir_controller_misplaced_events_total",
		Help: "What people were told about such pods, by reason.",
	}, []string{"reason"})
)

func init() { metrics.Registry.MustRegister(evictions, noticed) }
