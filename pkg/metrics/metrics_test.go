package metrics

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// scrape asks as Prometheus does, with its own parser and its own opinion.
func scrape(t *testing.T, m *Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	answer := httptest.NewRecorder()
	m.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	problems, err := promlint.New(bytes.NewReader(answer.Body.Bytes())).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// value is that of the only sample with these labels, given as name, value, ....
func value(t *testing.T, families map[string]*dto.MetricFamily, metric string, labels ...string) float64 {
	t.Helper()
	var found []float64
	for _, m := range families[metric].GetMetric() {
		has := map[string]string{}
		for _, l := range m.GetLabel() {
			has[l.GetName()] = l.GetValue()
		}
		match := true
		for i := 0; i < len(labels); i += 2 {
			match = match && has[labels[i]] == labels[i+1]
		}
		if match {
			found = append(found, m.GetGauge().GetValue()+m.GetCounter().GetValue())
		}
	}
	if len(found) != 1 {
		t.Errorf("%s%q has %d samples, want 1", metric, labels, len(found))
		return -1
	}
	return found[0]
}

// open opens a store on a pool that limits volumes and one that does not.
func open(t *testing.T) (s *store.Store, limited, advisory string) {
	t.Helper()
	config, limited, advisory := layOut(t)
	return start(t, config), limited, advisory
}

func layOut(t *testing.T) (config, limited, advisory string) {
	t.Helper()
	plugin.RequireRoot(t)
	limited = filepath.Join(disk.MountLimited(t, 1<<30), "pool")
	advisory = filepath.Join(disk.Mount(t, "ext4", 64<<20), "pool")
	for _, dir := range []string{limited, advisory} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config = filepath.Join(t.TempDir(), "config.yaml")
	pools := fmt.Sprintf("pools: [{name: limited, paths: [%q]}, {name: advisory, paths: [%q]}]", limited, advisory)
	if err := os.WriteFile(config, []byte(pools), 0o600); err != nil {
		t.Fatal(err)
	}
	return config, limited, advisory
}

func start(t *testing.T, config string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), plugin.NodeName, config, "")
	if err != nil {
		t.Fatal(err)
	}
	s.Look(t.Context())
	return s
}

func create(t *testing.T, s *store.Store, pool, claim string) store.Volume {
	t.Helper()
	v, err := s.Create(t.Context(), store.CreateRequest{
		Name:          "pvc-" + claim,
		RequiredBytes: 16 << 20,
		Class:         config.Class{Pool: pool, Mode: "0777", Quota: config.QuotaAuto},
		Claim:         store.Claim{Namespace: "shop", Name: claim},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestMetrics(t *testing.T) {
	config, limited, advisory := layOut(t)
	before := start(t, config)
	create(t, before, "advisory", "b")
	file, err := os.Create(filepath.Join(create(t, before, "limited", "a").Path, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Syncfs(int(file.Fd())); err != nil { // btrfs counts what is on the disk
		t.Fatal(err)
	}

	s := start(t, config)
	m := &Metrics{Version: "1.2.3", Store: s, Calls: &Calls{}}
	m.Calls.Done("CreateVolume", "OK", 7*time.Millisecond)
	m.Calls.Panicked()

	// A quota tells at once what a volume holds, and nothing else has been counted.
	families := scrape(t, m)
	for metric, want := range map[string]int{"hostdir_volume_used_bytes": 1, "hostdir_volume_used_inodes": 0, "hostdir_volume_counted_timestamp_seconds": 1} {
		if n := len(families[metric].GetMetric()); n != want {
			t.Errorf("%s has %d samples before the walk, want %d", metric, n, want)
		}
		if want > 0 {
			value(t, families, metric, "claim", "a")
		}
	}

	runUntilCounted(t, s)
	families = scrape(t, m)
	for _, want := range []struct {
		metric string
		labels []string
		value  float64
	}{
		{"hostdir_build_info", []string{"version", "1.2.3"}, 1},
		{"hostdir_config_valid", nil, 1},
		{"hostdir_disk_up", []string{"pool", "limited", "path", limited}, 1},
		{"hostdir_disk_enforces", []string{"pool", "limited"}, 1},
		{"hostdir_disk_enforces", []string{"pool", "advisory", "path", advisory}, 0},
		{"hostdir_disk_allocated_bytes", []string{"pool", "limited"}, 16 << 20},
		{"hostdir_disk_volumes", []string{"pool", "advisory"}, 1},
		{"hostdir_disk_quarantined_volumes", []string{"pool", "advisory"}, 0},
		{"hostdir_disk_trash_volumes", []string{"pool", "advisory"}, 0},
		{"hostdir_disk_snapshots", []string{"pool", "advisory"}, 0},
		{"hostdir_disk_unready_snapshots", []string{"pool", "advisory"}, 0},
		{"hostdir_volume_capacity_bytes", []string{"namespace", "shop", "claim", "a", "volume", "pvc-a", "pool", "limited"}, 16 << 20},
		{"hostdir_volume_enforced", []string{"claim", "a"}, 1},
		{"hostdir_volume_enforced", []string{"claim", "b"}, 0},
		{"hostdir_volume_used_inodes", []string{"claim", "b"}, 1},
		{"hostdir_panics_total", nil, 1},
	} {
		if got := value(t, families, want.metric, want.labels...); got != want.value {
			t.Errorf("%s%q is %v, want %v", want.metric, want.labels, got, want.value)
		}
	}
	if at := value(t, families, "hostdir_disk_measured_timestamp_seconds", "pool", "limited"); time.Since(time.UnixMilli(int64(at*1000))).Abs() > time.Minute {
		t.Errorf("measured at %v, now it is %v", at, time.Now().Unix())
	}
	if size := value(t, families, "hostdir_disk_size_bytes", "pool", "limited"); size < 512<<20 || size > 1<<30 {
		t.Errorf("a filesystem of 1 GiB has %v bytes", size)
	}
	if used := value(t, families, "hostdir_volume_used_bytes", "claim", "a"); used < 1<<20 || used > 2<<20 {
		t.Errorf("a volume with a file of 1 MiB holds %v bytes", used)
	}
	if n := len(families["hostdir_volume_used_inodes"].GetMetric()); n != 1 {
		t.Errorf("inodes of %d volumes, want 1: btrfs does not count them", n)
	}
	if at := value(t, families, "hostdir_volume_counted_timestamp_seconds", "claim", "b"); time.Since(time.UnixMilli(int64(at*1000))).Abs() > time.Minute {
		t.Errorf("counted at %v, now it is %v", at, time.Now().Unix())
	}
	if free := value(t, families, "hostdir_disk_free_bytes", "pool", "advisory"); free <= value(t, families, "hostdir_disk_available_bytes", "pool", "advisory") {
		t.Errorf("%v bytes are free, no more than is available besides a volume", free)
	}
}

// runUntilCounted lets the store work in the background, and stops it.
func runUntilCounted(t *testing.T, s *store.Store) {
	t.Helper()
	ctx, stop := context.WithCancel(plugin.Context(t))
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	for counted := false; !counted && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		counted = true
		for _, v := range s.VolumeStatus() {
			counted = counted && !v.Usage.At.IsZero()
		}
	}
	stop()
	<-done
}

func TestUnusableDisk(t *testing.T) {
	s, limited, advisory := open(t)
	create(t, s, "advisory", "a")
	if err := os.Rename(advisory, advisory+".away"); err != nil {
		t.Fatal(err)
	}
	s.Look(t.Context())
	families := scrape(t, &Metrics{Store: s, Calls: &Calls{}})
	for _, want := range []struct {
		metric, path string
		value        float64
	}{
		{"hostdir_disk_up", advisory, 0},
		{"hostdir_disk_up", limited, 1},
		{"hostdir_disk_available_bytes", advisory, 0},
		{"hostdir_disk_volumes", advisory, 1},
	} {
		if got := value(t, families, want.metric, "path", want.path); got != want.value {
			t.Errorf("%s of %s is %v, want %v", want.metric, want.path, got, want.value)
		}
	}
	if got := value(t, families, "hostdir_disk_unusable", "path", advisory, "reason", "absent"); got != 1 || len(families["hostdir_disk_unusable"].GetMetric()) != 1 {
		t.Errorf("the reason is told as %v", families["hostdir_disk_unusable"])
	}
	if n := len(families["hostdir_disk_free_bytes"].GetMetric()); n != 1 {
		t.Errorf("what is free is told of %d disks, want 1", n)
	}
}

func TestSnapshots(t *testing.T) {
	config, _, advisory := layOut(t)
	before := start(t, config)
	v := create(t, before, "advisory", "a")
	for _, name := range []string{"sound", "broken"} {
		takeSnapshot(t, before, v, name)
	}
	made := before.Snapshots()
	for _, s := range made {
		if s.Name == "broken" {
			if err := os.Remove(filepath.Join(filepath.Dir(s.Path), "snapshot.json")); err != nil {
				t.Fatal(err)
			}
		}
	}
	families := scrape(t, &Metrics{Store: start(t, config), Calls: &Calls{}})
	for metric, want := range map[string]float64{
		"hostdir_disk_snapshots": 2, "hostdir_disk_snapshot_bytes": float64(made[0].Bytes), "hostdir_disk_unready_snapshots": 0,
		"hostdir_disk_quarantined_snapshots": 1, "hostdir_disk_allocated_bytes": float64(v.CapacityBytes + made[0].Bytes),
	} {
		if got := value(t, families, metric, "path", advisory); got != want {
			t.Errorf("%s is %v, want %v", metric, got, want)
		}
	}
}

func takeSnapshot(t *testing.T, s *store.Store, v store.Volume, name string) {
	t.Helper()
	made, err := s.CreateSnapshot(t.Context(), store.SnapshotRequest{
		Name: name, Source: v.ID, Class: config.SnapshotClass{Consistency: config.ConsistencyAny, Copy: config.CopyAuto},
	}, func(*os.File) error { return nil })
	if err != nil || !made.Ready {
		t.Fatalf("%+v: %v", made, err)
	}
}

func TestCalls(t *testing.T) {
	s, _, _ := open(t)
	m := &Metrics{Store: s, Calls: &Calls{}}
	for _, took := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond, time.Hour} {
		m.Calls.Done("NodePublishVolume", "OK", took)
	}
	m.Calls.Done("NodePublishVolume", "Aborted", time.Second)
	calls := scrape(t, m)["hostdir_call_duration_seconds"].GetMetric()
	if len(calls) != 2 {
		t.Fatalf("%d kinds of calls, want 2", len(calls))
	}
	ok := calls[1].GetHistogram()
	if ok.GetSampleCount() != 4 || ok.GetSampleSum() != 3600.004 {
		t.Errorf("4 calls are %v", ok)
	}
	within := map[float64]uint64{}
	for _, b := range ok.GetBucket() {
		within[b.GetUpperBound()] = b.GetCumulativeCount()
	}
	if within[0.001] != 2 || within[0.0025] != 2 || within[0.005] != 3 || within[60] != 3 {
		t.Errorf("calls within bounds: %v", within)
	}
}

// BenchmarkVolumes writes the metrics of ten thousand volumes.
func BenchmarkVolumes(b *testing.B) {
	var volumes []store.VolumeStatus
	for i := range 10_000 {
		volumes = append(volumes, store.VolumeStatus{
			Volume: &store.Volume{
				Record: store.Record{
					Name:  fmt.Sprintf("pvc-6f1c7f4e-5a0b-4d7e-9f3e-%012d", i),
					Claim: store.Claim{Namespace: "default", Name: fmt.Sprintf("www-web-%d", i)},
					Quota: &store.Quota{Kind: quota.XFS},
				},
				Usage: store.Usage{Bytes: int64(i) << 20, Inodes: int64(i), At: time.Now()},
			},
			Pool: "default",
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		e := newExposition(io.Discard)
		writeVolumes(e, volumes)
		if err := e.flush(); err != nil {
			b.Fatal(err)
		}
	}
}
