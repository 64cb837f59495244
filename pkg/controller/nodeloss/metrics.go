package nodeloss

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/hostdir/hostdir/pkg/config"
)

var (
	lostNodes = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "hostdir_controller_absent_nodes",
		Help: "Nodes that volumes are on and that have no Node object, within the grace or after it.",
	})
	lostVolumes = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "hostdir_controller_lost_volumes",
		Help: "Volumes whose node is lost, or that a person has given up, by what their policy says.",
	}, []string{"policy"})
	lostDisks = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "hostdir_controller_disk_lost_volumes",
		Help: "Volumes whose node was lost and is back without their disk.",
	})
	heldVolumes = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "hostdir_controller_held_volumes",
		Help: "Lost volumes that are not given up because a brake holds them, by brake.",
	}, []string{"brake"})
	steps = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hostdir_controller_node_loss_writes_total",
		Help: "What was written because nodes went or came back, by step.",
	}, []string{"step"})
	givenUpTotal = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "hostdir_controller_given_up_volumes_total",
		Help: "PersistentVolumes of lost nodes that were deleted.",
	})
)

func init() {
	metrics.Registry.MustRegister(lostNodes, lostVolumes, lostDisks, heldVolumes, steps, givenUpTotal)
}

// figures are counts of what was decided on.
type figures struct {
	nodes, disks int
	lost         map[config.NodeLossPolicy]int
	held         map[state]int
}

func newFigures() figures {
	return figures{lost: map[config.NodeLossPolicy]int{}, held: map[state]int{}}
}

func (f figures) set() {
	lostNodes.Set(float64(f.nodes))
	lostDisks.Set(float64(f.disks))
	for policy, label := range map[config.NodeLossPolicy]string{config.NodeLossKeep: "keep", config.NodeLossRelease: "release", config.NodeLossRecreate: "recreate"} {
		lostVolumes.WithLabelValues(label).Set(float64(f.lost[policy]))
	}
	for why, label := range map[state]string{heldNodes: "nodes", heldHour: "hour", heldReplica: "replica"} {
		heldVolumes.WithLabelValues(label).Set(float64(f.held[why]))
	}
}
