package binding

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	buckets        = prometheus.ExponentialBuckets(0.01, 2, 13) // to 41 s
	bindingSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "hostdir_controller_binding_seconds", Buckets: buckets,
		Help: "Time from a volume's appearance until hostdir-controller had bound its claim; its count is that of the claims it bound.",
	})
	bindingConflicts = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "hostdir_controller_binding_conflicts_total",
		Help: "Writes of a binding that somebody else came before; each was decided anew.",
	})
	binderLag = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "hostdir_controller_binder_lag_seconds", Buckets: buckets,
		Help: "Time that kube-controller-manager's binder took to see a new volume.",
	})
)

func init() { metrics.Registry.MustRegister(bindingSeconds, bindingConflicts, binderLag) }

// firstSeen knows when volumes appeared: creationTimestamp has but seconds.
type firstSeen struct {
	mu sync.Mutex // guards at
	at map[string]time.Time
}

func newFirstSeen() *firstSeen { return &firstSeen{at: map[string]time.Time{}} }

// note notes a volume. One that was there before the program is as old as it says.
func (f *firstSeen) note(v *corev1.PersistentVolume) {
	now, created := time.Now(), v.CreationTimestamp.Time
	if now.Sub(created) < 2*time.Second {
		created = now
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at[v.Name] = created
}

func (f *firstSeen) since(v *corev1.PersistentVolume) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, ok := f.at[v.Name]; ok {
		return time.Since(at)
	}
	return time.Since(v.CreationTimestamp.Time)
}

func (f *firstSeen) forget(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.at, name)
}
