package why

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestRandomWorlds: whatever there is, and whatever could not be looked at, there is one
// cause of the table, with evidence and a next command, and the same again.
func TestRandomWorlds(t *testing.T) {
	known := map[Name]int{}
	for _, c := range causes {
		known[c.name] = 0
	}
	for seed := range uint64(20000) {
		w, history := randomWorld(rand.New(rand.NewPCG(seed, 1)))
		c := Diagnose(w)
		if _, ok := known[c.Name]; !ok {
			t.Fatalf("seed %d, %s: %q is not in the table", seed, history, c.Name)
		}
		known[c.Name]++
		if c.Says == "" || c.Next == "" || len(c.Evidence) == 0 {
			t.Fatalf("seed %d, %s: %s lacks words: %+v", seed, history, c.Name, c)
		}
		for _, line := range c.Evidence {
			if line == "" || strings.Contains(line, "unknown cause") || strings.Contains(line, "%!") {
				t.Fatalf("seed %d, %s: %s shows %q", seed, history, c.Name, line)
			}
		}
		if again := Diagnose(w); again.Name != c.Name || again.Sure != c.Sure {
			t.Fatalf("seed %d, %s: %s, and then %s", seed, history, c.Name, again.Name)
		}
	}
	t.Log(known)
}

// randomWorld does to a world what scenarios do to theirs, several at once, and takes
// things away.
func randomWorld(r *rand.Rand) (*World, string) {
	w := sound()
	var history []string
	if r.IntN(8) == 0 {
		base := scenarios[r.IntN(len(scenarios))]
		w = base.world.clone()
		history = append(history, base.name)
	}
	changes := []func(*World){
		pending, restoring, cloning, noPods, creating, unseen, deleting, left, growing, resized, reserve, unusable("absent", "no disk is mounted there"),
		unusable("", ""), refused("code = ResourceExhausted desc = has room for"), refused("code = Unknown desc = bad luck"),
		func(w *World) { waiting(w, "0/2 nodes are available: 2 Insufficient cpu.") }, func(w *World) { w.Nodes = nil },
		func(w *World) { w.Answers = nil }, func(w *World) { w.Plugins = nil }, func(w *World) { w.Capacities = nil },
		func(w *World) { w.CSINodes, w.CSIDriver = nil, nil }, func(w *World) { w.Others = []Claim{testClaim("logs")} },
		func(w *World) { w.Claims = append(w.Claims, testClaim("logs")) }, func(w *World) { w.Pod, w.Subject.Kind = testPod("web", "data", "logs"), PodKind },
		func(w *World) {
			if len(w.Pods) > 0 {
				w.Pods[0] = *testPod("web", "data", "logs")
			}
		},
		func(w *World) { w.Unseen = append(w.Unseen, Unseen{What: Pods, Why: "you may not"}) },
		func(w *World) { w.Unseen = append(w.Unseen, Unseen{What: Events, Why: "you may not"}) },
		func(w *World) { w.Claims[0].Class = nil }, func(w *World) { w.Claims[0].Volume = nil }, func(w *World) { w.Claims[0].Object = nil },
		func(w *World) { w.Claims = nil }, func(w *World) { w.Answers[0].Listed = false },
		func(w *World) {
			w.Claims[0].Object.Annotations = map[string]string{selectedNode: []string{"a", "gone"}[r.IntN(2)]}
		},
		func(w *World) { w.Claims[0].Volume.Spec.CSI = nil }, func(w *World) { w.Claims[0].Volume.Spec.NodeAffinity = nil },
	}
	for range r.IntN(6) {
		i := r.IntN(len(changes))
		if apply(changes[i], w) {
			history = append(history, fmt.Sprint(i))
		}
	}
	return w, strings.Join(history, ", ")
}

// apply changes a world unless that has not what is to be changed.
func apply(change func(*World), w *World) (applied bool) {
	defer func() { applied = recover() == nil }()
	change(w)
	return true
}

func (w *World) clone() *World {
	c := *w
	c.Claims = nil
	for _, claim := range w.Claims {
		if claim.Object != nil {
			claim.Object = claim.Object.DeepCopy()
		}
		if claim.Volume != nil {
			claim.Volume = claim.Volume.DeepCopy()
		}
		c.Claims = append(c.Claims, claim)
	}
	c.Pods = nil
	for _, p := range w.Pods {
		c.Pods = append(c.Pods, *p.DeepCopy())
	}
	c.Answers = nil
	for _, a := range w.Answers {
		a.Disks.Disks = append(a.Disks.Disks[:0:0], a.Disks.Disks...)
		c.Answers = append(c.Answers, a)
	}
	return &c
}
