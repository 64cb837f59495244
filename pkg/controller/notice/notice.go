// Package notice tells people by events what the loops know about their objects, each
// thing once.
package notice

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Notice is an event that is told once. Kind is corev1.EventTypeNormal or
// EventTypeWarning.
type Notice struct {
	About                      client.Object
	Kind, Reason, Action, Text string
}

// Teller tells each notice once, as far as it remembers.
type Teller struct {
	Recorder events.EventRecorder
	// Told counts what was told, by reason.
	Told *prometheus.CounterVec

	mu   sync.Mutex // guards told
	told map[told]struct{}
}

type told struct {
	about        types.UID
	reason, text string
}

// maxText is what an event may say, in bytes.
const maxText = 1024

// toldLimit bounds what is remembered; from there on things may be told again.
const toldLimit = 10000

// Tell tells what was not told before.
func (t *Teller) Tell(all []Notice) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range all {
		if len(n.Text) > maxText {
			n.Text = n.Text[:maxText-3] + "..."
		}
		k := told{n.About.GetUID(), n.Reason, n.Text}
		if _, ok := t.told[k]; ok {
			continue
		}
		if t.told == nil || len(t.told) >= toldLimit {
			t.told = map[told]struct{}{}
		}
		t.told[k] = struct{}{}
		t.Told.WithLabelValues(n.Reason).Inc()
		t.Recorder.Eventf(n.About, nil, n.Kind, n.Reason, n.Action, "%s", n.Text)
	}
}
