//go:build e2e

package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	retry "k8s.io/client-go/tools/watch"
)

var figures = flag.Bool("figures", false, "let TestFigures measure, which takes some minutes")

// TestFigures prints what hostdir costs on this machine: times, each beside that
// of the same pods without volumes of hostdir where there is such a thing, and
// memory. It asserts nothing: machines differ.
func TestFigures(t *testing.T) {
	if !*figures {
		t.Skip("measures only with -figures")
	}
	c := connect(t)
	c.install(t)
	const (
		some    = 10
		many    = 30
		singles = 5 // runs with one replica, and with some
		rounds  = 3 // runs with many replicas, with hostdir and with emptyDir in turn
	)
	var one, ten, all, without []figure
	measure := func(name string, replicas int, class string) (f figure) {
		t.Run(name, func(t *testing.T) { f = begin(t, c).measure(replicas, class) })
		if t.Failed() {
			t.FailNow()
		}
		return f
	}
	for range singles {
		one = append(one, measure("one replica", 1, "hostdir"))
		ten = append(ten, measure("some replicas", some, "hostdir"))
	}
	for range rounds {
		without = append(without, measure("many replicas with emptyDir", many, emptyDir))
		all = append(all, measure("many replicas", many, "hostdir"))
	}

	fmt.Printf("\nFigures, medians of %d runs with 1 replica and with %d, and of %d with %d at once:\n\n", singles, some, rounds, many)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	row := func(what string, value func(figure) time.Duration, runs []figure) time.Duration {
		var values []time.Duration
		for _, f := range runs {
			values = append(values, value(f))
		}
		m := median(values)
		slices.Sort(values)
		fmt.Fprintf(table, "%s\t%s\t%s to %s\n", what, seconds(m), seconds(values[0]), seconds(values[len(values)-1]))
		return m
	}
	bound := func(f figure) time.Duration { return median(f.bound) }
	runs := func(f figure) time.Duration { return f.running }
	row("one claim, until it is Bound", bound, one)
	row("one replica, until its pod is ready", runs, one)
	row(fmt.Sprintf("%d claims at once, until Bound (p50)", many), bound, all)
	row(fmt.Sprintf("%d claims at once, until the last is Bound", many), func(f figure) time.Duration { return slices.Max(f.bound) }, all)
	with := row(fmt.Sprintf("%d replicas, until all pods are ready", many), runs, all)
	floor := row("  the same with emptyDir", runs, without)
	fmt.Fprintf(table, "  with hostdir : with emptyDir\t%.2f\t\n", with.Seconds()/floor.Seconds())
	for _, runs := range [][]figure{one, ten, all} {
		row(fmt.Sprintf("%d replicas deleted with their claims, until all volumes are gone", runs[0].replicas), func(f figure) time.Duration { return f.deleted.all }, runs)
		row("  from the last pod's end", func(f figure) time.Duration { return f.deleted.afterPods }, runs)
		warnings := 0
		for _, f := range runs {
			warnings += len(f.deleted.warnings)
		}
		fmt.Fprintf(table, "  Warning events in all runs\t%d\t\n", warnings)
	}
	table.Flush()

	fmt.Printf("\nMemory of hostdir's containers after that, in MB (RSS of their processes; in brackets what of it is no file):\n\n")
	for _, p := range append(c.plugins(t), c.controllers(t)...) {
		for _, container := range p.Spec.Containers {
			m := memoryOf(t, &p, container.Name)
			fmt.Fprintf(table, "%s\t%s\t%.1f\t(%.1f)\n", p.Spec.NodeName, container.Name, m.resident, m.anonymous)
		}
	}
	table.Flush()

	c.snapshotFigures(t)
	c.bindingFigures(t, measure)
}

// A figure is what one StatefulSet took.
type figure struct {
	replicas int
	bound    []time.Duration // of each claim, from its appearance until it was Bound
	running  time.Duration   // from the StatefulSet's creation until all pods were ready
	cpu      programs        // who worked until then
	deleted  deletion
}

// emptyDir, in place of a class, lets pods have a directory without a claim.
const emptyDir = ""

// measure creates a StatefulSet whose replicas all start at once, with claims of a class,
// deletes it with them, and takes the time of what the API server reports of it.
func (t *test) measure(replicas int, class string) figure {
	events := t.watchClaims()
	defer events.Stop()
	before := cpuByProgram(t.T)
	began := time.Now()
	t.createStatefulSet(replicaSet(replicas, class))
	f := figure{replicas: replicas}
	if class != emptyDir {
		f.bound = bindingTimes(t, events, replicas)
	}
	t.setRuns("set=set", replicas)
	f.running = time.Since(began)
	f.cpu = cpuByProgram(t.T).since(before)
	time.Sleep(settled)
	f.deleted = t.deleteSet()
	return f
}

// watchClaims watches the namespace's claims. It goes on where the API server ends a watch,
// as it does when very much happens at once.
func (t *test) watchClaims() watch.Interface {
	t.Helper()
	ctx := context.Background()
	all, err := t.CoreV1().PersistentVolumeClaims(t.namespace).List(ctx, metav1.ListOptions{})
	t.check(err)
	events, err := retry.NewRetryWatcherWithContext(ctx, all.ResourceVersion, cache.NewListWatchFromClient(core(t.cluster), claims.resource, t.namespace, fields.Everything()))
	t.check(err)
	return events
}

// replicaSet is a hasty set with claims of a class.
func replicaSet(replicas int, class string) *appsv1.StatefulSet {
	set := hastySet(replicas)
	if class == emptyDir {
		set.Spec.VolumeClaimTemplates = nil
		set.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	} else {
		set.Spec.VolumeClaimTemplates[0].Spec.StorageClassName = &class
	}
	return set
}

// bindingTimes waits until so many claims are bound.
func bindingTimes(t *test, events watch.Interface, claims int) []time.Duration {
	var times []time.Duration
	appeared := map[string]time.Time{}
	for tooLong := time.After(patience); len(times) < claims; {
		select {
		case event, open := <-events.ResultChan():
			c, ok := event.Object.(*corev1.PersistentVolumeClaim)
			if !open || !ok {
				t.Fatalf("the API server ends the watch of claims: %v", event.Object)
			}
			began, known := appeared[c.Name]
			switch {
			case !known:
				appeared[c.Name] = time.Now()
			case !began.IsZero() && c.Status.Phase == corev1.ClaimBound:
				times = append(times, time.Since(began))
				appeared[c.Name] = time.Time{} // counted
			}
		case <-tooLong:
			t.Fatalf("after %s %d of %d claims are bound", patience, len(times), claims)
		}
	}
	return times
}

func median(values []time.Duration) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
