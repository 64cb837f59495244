package scale

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// The page, and the figures of its tables.
const (
	page    = "../../docs/explanation/scale.md"
	figures = "../../docs/explanation/scale.json"
)

// results are what was measured last, of each size.
type results struct {
	Node  nodeResult
	Sizes []sizeResult
}

// nodeResult is what does not depend on the number of nodes. Programs go by their names.
type nodeResult struct {
	Watches  map[string]map[string]int // that are open, by resource
	Requests map[string]float64        // for one claim's life
	Idle     map[string]float64        // requests a minute while nothing happens
	Changes  float64                   // of claim and volume in one life
	Bytes    float64                   // that csi-provisioner is sent of them
}

// sizeResult is a cluster. Memory is in bytes, times are in seconds.
type sizeResult struct {
	Nodes, Claims, Watches     int
	Etcd                       float64
	ObjectsHeap, WatchesMemory float64 // of the API server, garbage not counted
	ServerMemory, ServerPeak   float64 // that it has of the system: with the watches; after all
	IdleCPU                    float64 // cores
	LifeBytes, LifeCPU, Delay  float64 // of one claim's life
	Lost                       int     // watches that the API server ended
	Starts                     map[string]begin
}

func load(t *testing.T) results {
	t.Helper()
	text, err := os.ReadFile(figures)
	if err != nil {
		t.Fatal(err)
	}
	var r results
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// update changes the figures and writes the page's tables anew.
func update(t *testing.T, change func(*results)) {
	t.Helper()
	r := load(t)
	change(&r)
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(figures, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(page, []byte(withTables(t, string(old), r)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestPage holds the page's tables to the figures.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if withTables(t, string(text), load(t)) != string(text) {
		t.Errorf("the tables of %s are not those of %s: `make scale` writes both", page, figures)
	}
}

// withTables puts the tables between their markers.
func withTables(t *testing.T, text string, r results) string {
	t.Helper()
	for name, table := range map[string]string{"node": nodeTable(r.Node), "sizes": sizeTable(r.Sizes)} {
		begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
		head, rest, ok := strings.Cut(text, begin)
		_, tail, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no markers of the table %s", page, name)
		}
		text = head + begin + table + end + tail
	}
	return text
}

func nodeTable(n nodeResult) string {
	var b strings.Builder
	b.WriteString("| Program | where | watches | requests for one claim's life | requests a minute, idle |\n|---|---|---|---|---|\n")
	for _, p := range []struct{ name, where string }{
		{"csi-provisioner", "each node"}, {"csi-snapshotter", "each node"}, {"hostdir-controller", "once"}, {"csi-resizer", "once"},
		{"kube-controller-manager", "Kubernetes"}, {"kube-scheduler", "Kubernetes"},
	} {
		var watches []string
		for _, resource := range slices.Sorted(maps.Keys(n.Watches[p.name])) {
			w := resource
			if times := n.Watches[p.name][resource]; times > 1 {
				w += fmt.Sprintf(" (%d times)", times)
			}
			watches = append(watches, w)
		}
		if watches == nil {
			watches = []string{"its own"}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %.1f | %.1f |\n", p.name, p.where, strings.Join(watches, ", "), n.Requests[p.name], n.Idle[p.name])
	}
	fmt.Fprintf(&b, "\nIn its life a claim and its volume change %.0f times, and each node is sent %.1f kB of that.\n", n.Changes, n.Bytes/1e3)
	return b.String()
}

func sizeTable(sizes []sizeResult) string {
	var b strings.Builder
	row := func(what string, value func(sizeResult) string) {
		b.WriteString("| " + what + " |")
		for _, s := range sizes {
			b.WriteString(" " + value(s) + " |")
		}
		b.WriteString("\n")
	}
	row("Nodes", func(s sizeResult) string { return fmt.Sprint(s.Nodes) })
	b.WriteString("|---|" + strings.Repeat("---:|", len(sizes)) + "\n")
	row("Claims", func(s sizeResult) string { return fmt.Sprint(s.Claims) })
	row("etcd's file", func(s sizeResult) string { return mega(s.Etcd) })
	row("API server: the objects", func(s sizeResult) string { return mega(s.ObjectsHeap) })
	row("Watches of the sidecars", func(s sizeResult) string { return fmt.Sprint(s.Watches) })
	row("API server: the watches", func(s sizeResult) string { return mega(s.WatchesMemory) })
	row("API server: one watch", func(s sizeResult) string { return fmt.Sprintf("%.0f kB", s.WatchesMemory/float64(s.Watches)/1e3) })
	row("API server: memory of the system, with both", func(s sizeResult) string { return mega(s.ServerMemory) })
	row("API server: cores while nothing happens", func(s sizeResult) string { return fmt.Sprintf("%.2f", s.IdleCPU) })
	row("One claim's life: sent to all nodes", func(s sizeResult) string { return mega(s.LifeBytes) })
	row("One claim's life: API server's CPU for the watches", func(s sizeResult) string { return fmt.Sprintf("%.3f s", s.LifeCPU) })
	row("One claim's life: most lives a second", func(s sizeResult) string { return fmt.Sprintf("%.1f", 1/s.Delay) })
	for _, name := range []string{"csi-provisioner", "csi-resizer", "hostdir-controller"} {
		start := func(value func(begin) string) func(sizeResult) string {
			return func(s sizeResult) string { return value(s.Starts[name]) }
		}
		row("One "+name+" starts: it reads", start(func(s begin) string { return mega(float64(s.Bytes)) }))
		row("One "+name+" starts: in", start(func(s begin) string { return fmt.Sprintf("%.1f s", s.Seconds) }))
		row("One "+name+" starts: API server's CPU", start(func(s begin) string { return fmt.Sprintf("%.1f s", s.ServerCPU) }))
		row("One "+name+": memory, at most and then", start(func(s begin) string { return mega(s.Peak) + ", " + mega(s.Memory) }))
	}
	return b.String()
}

func mega(bytes float64) string {
	if bytes < 10e6 {
		return fmt.Sprintf("%.1f MB", bytes/1e6)
	}
	return fmt.Sprintf("%.0f MB", bytes/1e6)
}
