//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostdir/hostdir/tests/peers/report"
)

// A load is what the cluster has done since it came up.
type load struct {
	requests, writes float64 // to the API server, by everybody, but for leases and watches
	cpu              float64 // seconds, of the control plane, the nodes and all that runs there
}

func (l load) minus(other load) load {
	return load{l.requests - other.requests, l.writes - other.writes, l.cpu - other.cpu}
}

func (l load) since(before load) load { return l.minus(before) }

func (l load) times(n float64) load { return load{l.requests * n, l.writes * n, l.cpu * n} }

func (p *comparison) load(t *testing.T) load {
	t.Helper()
	metrics, err := p.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(context.Background())
	if err != nil {
		t.Fatalf("ask the API server what it was asked: %v", err)
	}
	l := load{cpu: clusterCPU(t) + processCPU(t, fmt.Sprintf("/proc/%d", p.provisioner.Pid))}
	for line := range strings.Lines(string(metrics)) {
		labels, count, found := strings.Cut(line, "} ")
		if !found || !strings.HasPrefix(labels, "apiserver_request_total{") || strings.Contains(labels, `resource="leases"`) || strings.Contains(labels, `verb="WATCH"`) {
			continue
		}
		var n float64
		if _, err := fmt.Sscan(count, &n); err != nil {
			t.Fatalf("a metric of the API server: %q: %v", line, err)
		}
		l.requests += n
		for _, verb := range []string{"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"} {
			if strings.Contains(labels, `verb="`+verb+`"`) {
				l.writes += n
			}
		}
	}
	if l.requests == 0 {
		t.Fatal("the API server counts no requests")
	}
	return l
}

// clusterCPU is what the cgroup of all machines has used, in seconds: on this machine
// that is cgroup v1 or v2.
func clusterCPU(t *testing.T) float64 {
	t.Helper()
	name := "hostdir-cluster/" + os.Getenv("HOSTDIR_CLUSTER")
	var ns, us float64
	data, err := os.ReadFile(filepath.Join("/sys/fs/cgroup/cpuacct", name, "cpuacct.usage"))
	if err == nil {
		_, err = fmt.Sscan(string(data), &ns)
	} else if errors.Is(err, fs.ErrNotExist) {
		if data, err = os.ReadFile(filepath.Join("/sys/fs/cgroup", name, "cpu.stat")); err == nil {
			_, err = fmt.Sscanf(string(data), "usage_usec %f", &us)
		}
	}
	if err != nil {
		t.Fatalf("the CPU that the cluster has used: %v", err)
	}
	return ns/1e9 + us/1e6
}

// processCPU is what a process, a folder of /proc, has used, in seconds.
func processCPU(t *testing.T, process string) float64 {
	t.Helper()
	used, err := cpuOf(process)
	if err != nil {
		t.Fatal(err)
	}
	return used
}

func cpuOf(process string) (float64, error) {
	stat, err := os.ReadFile(filepath.Join(process, "stat"))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	const user, system, hertz = 11, 12, 100 // see proc(5), from the third field on
	var u, s float64
	_, err = fmt.Sscan(fields[user]+" "+fields[system], &u, &s)
	return (u + s) / hertz, err
}

// installed is the memory of all that was installed, and its CPU in an idle minute, after
// the volumes of the whole comparison. local-path-provisioner runs on this machine, once;
// its helper pods are gone by then.
func (p *comparison) installed(t *testing.T) (values []report.Value) {
	t.Helper()
	type part struct{ side, what string }
	processesOf := map[part][][]string{} // of each container
	var parts []part
	note := func(side, what string, processes []string) {
		if processesOf[part{side, what}] == nil {
			parts = append(parts, part{side, what})
		}
		processesOf[part{side, what}] = append(processesOf[part{side, what}], processes)
	}
	containers := func(pods []corev1.Pod, where string) {
		for _, pod := range pods {
			for _, container := range pod.Spec.Containers {
				note("hostdir", container.Name+", "+where, processes(t, &pod, container.Name))
			}
		}
	}
	containers(p.plugins(t), "on each node")
	containers(p.controllers(t), "once")
	others, err := p.CoreV1().Pods(home).List(context.Background(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=snapshot-controller"})
	if err != nil {
		t.Fatal(err)
	}
	containers(others.Items, "once, where the cluster has none")
	note(localPath, localPath+", once", []string{fmt.Sprintf("/proc/%d", p.provisioner.Pid)})

	used := func() map[part][]float64 {
		all := map[part][]float64{}
		for part, each := range processesOf {
			for _, processes := range each {
				var cpu float64
				for _, process := range processes {
					cpu += processCPU(t, process)
				}
				all[part] = append(all[part], cpu)
			}
		}
		return all
	}
	before := used()
	time.Sleep(time.Minute)
	after := used()
	for _, part := range parts {
		var cpu, resident, anonymous []float64
		for i, processes := range processesOf[part] {
			m := memoryOfAll(t, processes)
			resident, anonymous = append(resident, m.resident), append(anonymous, m.anonymous)
			cpu = append(cpu, 1000*(after[part][i]-before[part][i]))
		}
		values = append(values,
			report.Of("memory of "+part.what, part.side, 0, "MB", resident...),
			report.Of("memory that is no file of "+part.what, part.side, 0, "MB", anonymous...),
			report.Of("CPU in an idle minute of "+part.what, part.side, 0, "ms", cpu...))
	}
	return values
}
