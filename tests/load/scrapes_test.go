package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestScrapes asks for the metrics of twenty thousand volumes as no Prometheus
// does: every pod of the cluster may.
func TestScrapes(t *testing.T) {
	plugin.RequireRoot(t)
	p := start(t, disk.Mount(t, "ext4", 32<<10*mebibyte), true)
	const volumes = 20_000
	createMany(t, p, volumes)
	if size := scrape(t, p.HTTP, "127.0.0.1"); size < volumes*500 {
		t.Errorf("the metrics of %d volumes are %d bytes", volumes, size)
	}
	before := look(t, p.PID())

	for i := range 1000 { // given up
		ask(t, p.HTTP, fmt.Sprintf("127.0.1.%d", 1+i%100)).Close()
	}
	wantProbed(t, p.HTTP)
	for i := range 200 { // that nobody reads
		conn := ask(t, p.HTTP, fmt.Sprintf("127.0.1.%d", 1+i%50))
		defer conn.Close()
		if i%20 == 0 {
			wantProbed(t, p.HTTP)
		}
	}
	for began := time.Now(); time.Since(began) < 5*time.Second; time.Sleep(100 * time.Millisecond) {
		wantProbed(t, p.HTTP)
	}
	after := look(t, p.PID())
	t.Logf("memory %d KiB before, %d KiB at most; threads %d before, %d after", before.resident, after.peak, before.threads, after.threads)
	if grown := after.peak - before.resident; grown > maxForScrapes {
		t.Errorf("the program took %d KiB more, want at most %d", grown, maxForScrapes)
	}
	if after.threads > before.threads+20 {
		t.Errorf("%d threads, there were %d", after.threads, before.threads)
	}
}

// maxForScrapes, in KiB, is for one answer at a time, the garbage of those before,
// and the connections. Seen were 5 MiB.
const maxForScrapes = 24 << 10

// createMany creates volumes of claims, many at once.
func createMany(t *testing.T, p *plugin.Plugin, n int) {
	t.Helper()
	client := plugin.NewClient(p.Conn)
	numbers := make(chan int)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for i := range numbers {
				req := plugin.GoodCreate(fmt.Sprintf("pvc-6f1c7f4e-5a0b-4d7e-9f3e-%012d", i), 4096)
				req.Parameters = map[string]string{
					"csi.storage.k8s.io/pvc/namespace": "shop",
					"csi.storage.k8s.io/pvc/name":      fmt.Sprintf("www-web-%d", i),
				}
				if _, err := client.CreateVolume(t.Context(), req); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	wg.Wait()
}

// dialer connects from an address of this machine, of which 127.0.0.0/8 are all.
func dialer(from string) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
}

// ask asks for the metrics and reads nothing.
func ask(t *testing.T, address, from string) net.Conn {
	t.Helper()
	conn, err := dialer(from).Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: hostdir\r\n\r\n")
	return conn
}

// get asks once, and returns how large the answer is.
func get(t *testing.T, address, from, path string) (size int64, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialer(from).DialContext}}
	resp, err := client.Do(req)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return 0, time.Since(began)
	}
	defer resp.Body.Close()
	size, err = io.Copy(io.Discard, resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s, %v", path, resp.Status, err)
	}
	return size, time.Since(began)
}

func scrape(t *testing.T, address, from string) (size int64) {
	t.Helper()
	size, took := get(t, address, from, "/metrics")
	t.Logf("a scrape has %d KiB and took %s", size>>10, took)
	return size
}

// wantProbed probes as kubelet does.
func wantProbed(t *testing.T, address string) {
	t.Helper()
	if _, took := get(t, address, "127.0.2.1", "/healthz"); took > time.Second {
		t.Errorf("/healthz is answered in %s, want a second", took)
	}
}
