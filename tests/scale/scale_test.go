package scale

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var sizes = flag.String("nodes", "", "numbers of nodes of clusters to measure, such as 100,1000")

// sidecars are those of a node that talk to the API server.
var sidecars = []string{"csi-provisioner", "csi-snapshotter"}

// TestNode holds the page to what it says of one node. With -nodes it is the page that
// is written, after a minute in which nothing happens.
func TestNode(t *testing.T) {
	w := start(t)
	all := w.runAll()
	lives := 2
	if *sizes != "" {
		lives = 10
	}
	w.live("first") // clients that are made once, and connections
	before := map[string]counts{}
	for name, r := range all {
		before[name] = r.now()
	}
	life := w.record(func() {
		for i := range lives {
			w.live(fmt.Sprintf("claim-%d", i))
		}
	})
	measured := nodeResult{Watches: map[string]map[string]int{}, Requests: map[string]float64{}, Idle: map[string]float64{}}
	for name, r := range all {
		done := r.since(before[name])
		// Leases are renewed whether or not there are claims.
		delete(done.requests, call{"update", "leases"})
		delete(done.requests, call{"get", "leases"})
		n := done.sum()
		measured.Requests[name] = float64(n) / float64(lives)
		t.Logf("%s: %.1f requests for each life: %v", name, measured.Requests[name], done.requests)
		if name == "csi-provisioner" {
			for c, b := range done.bytes {
				if c.verb == "watch" {
					measured.Bytes += float64(b) / float64(lives)
				}
			}
		}
		if !slices.Contains([]string{"kube-controller-manager", "kube-scheduler"}, name) {
			measured.Watches[name] = r.openWatches()
		}
	}
	measured.Changes = float64(len(life)) / float64(lives)

	if *sizes != "" {
		then := time.Now()
		for name, r := range all {
			before[name] = r.now()
		}
		time.Sleep(2 * time.Minute)
		for name, r := range all {
			idle := r.since(before[name])
			t.Logf("%s, idle: %v", name, idle.requests)
			n := idle.sum()
			measured.Idle[name] = float64(n) / time.Since(then).Minutes()
		}
		update(t, func(r *results) { r.Node = measured })
		return
	}
	documented := load(t).Node
	for name, watches := range documented.Watches {
		if !maps.Equal(watches, measured.Watches[name]) {
			t.Errorf("%s watches %v; docs/explanation/scale.md says %v", name, measured.Watches[name], watches)
		}
	}
	for name, n := range documented.Requests {
		if most := 1.5*n + 1; measured.Requests[name] > most {
			t.Errorf("%s makes %.1f requests for each claim; docs/explanation/scale.md says %.1f", name, measured.Requests[name], n)
		}
	}
	w.withoutSweep(all["csi-provisioner"])
	// A played node's watches must see what a real program's see: csi-resizer's, as it
	// alone does nothing about played claims.
	for name, r := range all {
		if name != "csi-resizer" {
			r.stop()
		}
	}
	const nodes = 20
	w.populate(nodes, life)
	w.settle() // or the API server ends watches that fill with what was written before they began
	p := w.play(nodes, all[sidecars[0]], all[sidecars[1]])
	w.replay(p, life, 1, 1) // until all that populate has written has arrived as well
	resizer, played := all["csi-resizer"].now(), p.now()
	w.replay(p, life, 2, 3)
	real := all["csi-resizer"].since(resizer).bytes
	for _, resource := range []string{"persistentvolumeclaims", "persistentvolumes"} {
		// A watch that has begun with a list is compressed until it is opened again.
		got, want := float64(p.arrived(resource)-played[resource])/(nodes-1), float64(real[call{"watch", resource}])
		if want == 0 || got < want || got > 5*want {
			t.Errorf("a played node was sent %.0f bytes of %s, the real one %.0f, compressed", got, resource, want)
		}
	}
	if n := p.lost.Load(); n > 0 {
		t.Errorf("%d watches were ended by the API server", n)
	}
}

// withoutSweep shows that without the sweep a provisioner does not watch snapshots.
func (w *world) withoutSweep(with running) {
	w.Helper()
	without := w.runContainer("csi-provisioner", "--snapshot-orphan-sweep-interval=0s")
	defer without.stop()
	want := with.openWatches()
	delete(want, "volumesnapshots")
	w.await("the sidecar has not opened its watches", func(context.Context) bool { return maps.Equal(without.openWatches(), want) })
	time.Sleep(3 * time.Second)
	if got := without.openWatches(); !maps.Equal(got, want) {
		w.Errorf("without the sweep csi-provisioner watches %v, want %v", got, want)
	}
}

// TestScale measures clusters of the sizes that -nodes names.
func TestScale(t *testing.T) {
	if *sizes == "" {
		t.Skip("measures with -args -nodes 100,1000")
	}
	for _, size := range strings.Split(*sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil || n < 2 {
			t.Fatalf("-nodes: %q is no number of nodes", size)
		}
		t.Run(size, func(t *testing.T) { measure(t, n) })
	}
}

func measure(t *testing.T, nodes int) {
	w := start(t)
	all := w.runAll()
	life := w.record(func() { w.live("recorded") })
	for _, r := range all {
		r.stop()
	}
	stage := func(what string, u usage) { t.Logf("%s: %+v", what, u) }
	r := sizeResult{Nodes: nodes, Claims: nodes * volumesPerNode}
	empty := w.use()
	stage("empty", empty)
	w.populate(nodes, life)
	w.settle()
	full := w.use()
	stage("with objects", full)
	r.Etcd, r.ObjectsHeap = full.etcd, full.heap-empty.heap

	began := time.Now()
	p := w.play(nodes, all[sidecars[0]], all[sidecars[1]])
	opened := time.Since(began)
	w.replay(p, life, 1, 1) // after a change, each watch has the buffers that it keeps
	w.settle()
	watched := w.use()
	stage(fmt.Sprintf("with watches, opened in %s", opened), watched)
	for _, name := range sidecars {
		r.Watches += (nodes - 1) * len(all[name].watches)
	}
	r.WatchesMemory = watched.heap + watched.stacks - full.heap - full.stacks
	r.ServerMemory = watched.memory

	before, _ := w.cpuNow()
	time.Sleep(30 * time.Second)
	after, _ := w.cpuNow()
	r.IdleCPU = (after - before) / 30
	t.Logf("idle: %.2f cores", r.IdleCPU)

	const lives = 10
	before, _ = w.cpuNow()
	bytes := p.arrived("persistentvolumeclaims", "persistentvolumes")
	r.Delay = w.replay(p, life, 2, 1+lives).Seconds() / lives
	after, _ = w.cpuNow()
	r.LifeBytes = float64(p.arrived("persistentvolumeclaims", "persistentvolumes")-bytes) / lives
	r.LifeCPU = (after - before) / lives
	r.Lost = int(p.lost.Load())
	t.Logf("a life: %.0f bytes, %.3f s of CPU, %.3f s until all have it; %d watches lost", r.LifeBytes, r.LifeCPU, r.Delay, r.Lost)
	p.stop()

	r.Starts = map[string]begin{}
	for _, name := range []string{"csi-provisioner", "csi-resizer", "hostdir-controller"} {
		b := w.begin(name, map[string][]string{"csi-resizer": {"--csi-address=" + w.plugin.Socket}}[name]...)
		t.Logf("%s: %+v", name, b)
		r.Starts[name] = b
	}
	r.ServerPeak = w.serverMetrics()["process_resident_memory_bytes"]
	update(t, func(all *results) {
		all.Sizes = slices.DeleteFunc(all.Sizes, func(o sizeResult) bool { return o.Nodes == nodes })
		all.Sizes = append(all.Sizes, r)
		slices.SortFunc(all.Sizes, func(a, b sizeResult) int { return a.Nodes - b.Nodes })
	})
}

// replay lets the life of one recorded claim happen again, from the i-th time to the
// j-th, in etcd. It returns how long it took until nothing more arrived at the watches.
func (w *world) replay(p *played, life []change, i, j int) time.Duration {
	w.Helper()
	first := life[0].object.GetName() // its claim; the volume's changes follow
	var changes []change
	volume := ""
	for _, c := range life {
		if volume == "" && c.kind == apiwatch.Added && c.object.GetNamespace() == "" {
			volume = c.object.GetName()
		}
		if name := c.object.GetName(); name == first || name == volume {
			changes = append(changes, c)
		}
	}
	began := time.Now()
	for n := i; n <= j; n++ {
		for _, c := range changes {
			// Beside those of populate, which begin with the first node's.
			o := another(c.object, 1_000_000_000+n)
			op, err := write(o)
			if c.kind == apiwatch.Deleted {
				op, err = erase(o)
			}
			w.must(err)
			w.must(etcd(w.Etcd).do(op))
		}
	}
	last, lastChange := int64(0), time.Now()
	for time.Since(lastChange) < 5*time.Second {
		time.Sleep(20 * time.Millisecond)
		if n := p.arrived("persistentvolumeclaims", "persistentvolumes"); n != last {
			last, lastChange = n, time.Now()
		}
	}
	return lastChange.Sub(began)
}

// settle waits until the API server has little to do.
func (w *world) settle() {
	w.Helper()
	for range 60 {
		before, _ := w.cpuNow()
		time.Sleep(2 * time.Second)
		if after, _ := w.cpuNow(); after-before < 0.4 {
			return
		}
	}
	w.Log("the API server is still busy after two minutes")
}

// runAll runs all programs that have to do with claims but kubelet.
func (w *world) runAll() map[string]running {
	w.Helper()
	all := map[string]running{}
	control, scheduler := w.newMeter(""), w.newMeter("")
	stop := w.Through(control.kubeconfig).StartControllerManager(w.T, "persistentvolume-binder-controller", "persistentvolumeclaim-protection-controller", "persistentvolume-protection-controller")
	all["kube-controller-manager"] = running{meter: control, stop: stop}
	stop = w.Through(scheduler.kubeconfig).StartScheduler(w.T)
	all["kube-scheduler"] = running{meter: scheduler, stop: stop}
	for _, name := range []string{"hostdir-controller", "csi-provisioner", "csi-snapshotter"} {
		all[name] = w.runContainer(name)
	}
	w.await("hostdir-controller serves no CSI", func(context.Context) bool {
		_, err := os.Stat(w.controllerSocket())
		return err == nil
	})
	all["csi-resizer"] = w.runContainer("csi-resizer")
	w.await("the room of the node is not published", func(ctx context.Context) bool {
		list := &storagev1.CSIStorageCapacityList{}
		w.must(w.List(ctx, list, client.InNamespace(release)))
		return len(list.Items) >= 3
	})
	return all
}
