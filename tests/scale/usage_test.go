package scale

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// usage is what the API server and its etcd use.
type usage struct {
	heap    float64 // bytes of the API server that are in use, garbage not counted
	stacks  float64 // bytes of its goroutines
	memory  float64 // bytes that it has of the system
	cpu     float64 // seconds so far
	etcd    float64 // bytes of etcd's file
	etcdCPU float64 // seconds so far
}

// cpuNow returns the API server's seconds so far, and etcd's.
func (w *world) cpuNow() (server, etcd float64) {
	w.Helper()
	return w.serverMetrics()["process_cpu_seconds_total"], w.etcdMetrics()["process_cpu_seconds_total"]
}

// use measures. The API server collects its garbage for it.
func (w *world) use() usage {
	w.Helper()
	for range 2 { // what has a finalizer goes with the second
		w.raw("/debug/pprof/heap", "gc", "1")
	}
	s, e := w.serverMetrics(), w.etcdMetrics()
	return usage{
		heap: s["go_memstats_heap_alloc_bytes"], stacks: s["go_memstats_stack_inuse_bytes"], memory: s["process_resident_memory_bytes"], cpu: s["process_cpu_seconds_total"],
		etcd: e["etcd_mvcc_db_total_size_in_bytes"], etcdCPU: e["process_cpu_seconds_total"],
	}
}

func (w *world) serverMetrics() map[string]float64 { return numbers(w.raw("/metrics", "", "")) }

func (w *world) etcdMetrics() map[string]float64 {
	w.Helper()
	answer, err := http.Get(w.Etcd + "/metrics")
	w.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	w.must(err)
	return numbers(text)
}

func (w *world) raw(path, key, value string) []byte {
	w.Helper()
	c, err := kubernetes.NewForConfig(w.Config)
	w.must(err)
	r := c.RESTClient().Get().AbsPath(path)
	if key != "" {
		r = r.Param(key, value)
	}
	text, err := r.DoRaw(w.Context())
	w.must(err)
	return text
}

// numbers are the metrics that have no labels.
func numbers(text []byte) map[string]float64 {
	all := map[string]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			all[name] = n
		}
	}
	return all
}

// memoryOf returns what a process has of the system, now and at most, in bytes.
func (w *world) memoryOf(pid int) (now, peak float64) {
	w.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	w.must(err)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmRSS:":
			now = n * 1024
		case "VmHWM:":
			peak = n * 1024
		}
	}
	if now == 0 {
		w.Fatalf("process %d has ended", pid)
	}
	return now, peak
}

// A begin is what the start of a program costs, that reads what there is.
type begin struct {
	Bytes     int64   // that it was sent
	Seconds   float64 // until it was sent nothing more
	ServerCPU float64 // seconds
	Memory    float64 // bytes, afterwards
	Peak      float64 // bytes, at most
}

// begin starts a container's program, and ends it once it has read all.
func (w *world) begin(name string, more ...string) begin {
	w.Helper()
	// Nobody waits for the lease of one that was killed.
	w.must(w.DeleteAllOf(w.Context(), &coordinationv1.Lease{}, client.InNamespace(release)))
	before, _ := w.cpuNow()
	began := time.Now()
	r := w.runContainer(name, more...)
	defer r.stop()
	const still = 15 * time.Second // an API server that is busy pauses
	last, lastChange := int64(0), time.Now()
	for time.Since(lastChange) < still || last == 0 {
		if time.Since(began) > 5*time.Minute {
			w.Fatalf("%s has not read all in five minutes: %d bytes so far", name, last)
		}
		time.Sleep(200 * time.Millisecond)
		if bytes := r.now().watched(); bytes != last {
			last, lastChange = bytes, time.Now()
		}
	}
	after, _ := w.cpuNow()
	b := begin{Bytes: last, Seconds: lastChange.Sub(began).Seconds(), ServerCPU: after - before}
	time.Sleep(5 * time.Second)
	b.Memory, b.Peak = w.memoryOf(r.pid)
	return b
}
