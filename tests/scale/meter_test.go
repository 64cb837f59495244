package scale

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
)

// A meter stands between a program and the API server, and counts.
type meter struct {
	kubeconfig string // leads to the meter

	mu      sync.Mutex // guards what is below
	counts  counts
	open    map[string]int // watches that are open now, by resource
	watches []watch        // that were ever opened
}

// A call is a kind of request: "list", "persistentvolumes".
type call struct{ verb, resource string }

// counts are requests, and the bytes of their answers as they were sent.
type counts struct {
	requests map[call]int
	bytes    map[call]int64
}

// A watch is a request that opened one.
type watch struct {
	resource, path string
	query          url.Values
	accept         string
}

// newMeter makes a meter for a program that is to have the rights of a service account
// of hostdir's, or of an administrator if that is "".
func (w *world) newMeter(account string) *meter {
	w.Helper()
	m := &meter{counts: counts{map[call]int{}, map[call]int64{}}, open: map[string]int{}}
	config := w.asAccount(account)
	transport, err := rest.TransportFor(config)
	w.must(err)
	target, err := url.Parse(config.Host)
	w.must(err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      transport,
		FlushInterval:  -1,
		ModifyResponse: m.note,
		ErrorHandler: func(rw http.ResponseWriter, r *http.Request, err error) {
			// The program was ended, or has ended a watch.
			if r.Context().Err() == nil {
				w.Logf("%s %s: %v", r.Method, r.URL, err)
			}
			rw.WriteHeader(http.StatusBadGateway)
		},
	})
	w.Cleanup(func() { proxy.CloseClientConnections(); proxy.Close() })
	m.kubeconfig = filepath.Join(w.TempDir(), "kubeconfig")
	w.must(os.WriteFile(m.kubeconfig, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: it, contexts: [{name: it, context: {cluster: it, user: it}}], users: [{name: it, user: {}}], clusters: [{name: it, cluster: {server: %q}}]}`, proxy.URL), 0o600))
	return m
}

// note counts a request, and its answer while it is read.
func (m *meter) note(r *http.Response) error {
	c := callOf(r.Request)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.requests[c]++
	watching := c.verb == "watch" && r.StatusCode == http.StatusOK
	if watching {
		m.open[c.resource]++
		m.watches = append(m.watches, watch{c.resource, r.Request.URL.Path, r.Request.URL.Query(), r.Request.Header.Get("Accept")})
	}
	r.Body = &countedBody{ReadCloser: r.Body, meter: m, call: c, watching: watching}
	return nil
}

// A countedBody is the body of an answer.
type countedBody struct {
	io.ReadCloser
	meter    *meter
	call     call
	watching bool
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.meter.mu.Lock()
	defer b.meter.mu.Unlock()
	b.meter.counts.bytes[b.call] += int64(n)
	return n, err
}

func (b *countedBody) Close() error {
	b.meter.mu.Lock()
	defer b.meter.mu.Unlock()
	if b.watching {
		b.watching = false
		b.meter.open[b.call.resource]--
	}
	return b.ReadCloser.Close()
}

// callOf says what a request asks for. Subresources go by "resource/sub".
func callOf(r *http.Request) call {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case parts[0] == "api" && len(parts) > 2:
		parts = parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		parts = parts[3:]
	default:
		return call{"get", "discovery"}
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	resource := parts[0]
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	verb := map[string]string{http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete"}[r.Method]
	switch {
	case verb != "":
	case len(parts) > 1:
		verb = "get"
	case r.URL.Query().Get("watch") != "" && r.URL.Query().Get("watch") != "false":
		verb = "watch"
	default:
		verb = "list"
	}
	return call{verb, resource}
}

// now returns what was counted so far.
func (m *meter) now() counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return counts{maps.Clone(m.counts.requests), maps.Clone(m.counts.bytes)}
}

// since returns what was counted after an earlier moment.
func (m *meter) since(then counts) counts {
	now := m.now()
	for c, n := range then.requests {
		if now.requests[c] -= n; now.requests[c] == 0 {
			delete(now.requests, c)
		}
	}
	for c, n := range then.bytes {
		now.bytes[c] -= n
	}
	return now
}

// openWatches returns how many watches are open now, by resource.
func (m *meter) openWatches() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	open := maps.Clone(m.open)
	maps.DeleteFunc(open, func(_ string, n int) bool { return n == 0 })
	return open
}

// sum returns how many requests there are.
func (c counts) sum() (requests int) {
	for _, n := range c.requests {
		requests += n
	}
	return requests
}

// watched returns how many bytes came by watches, which begin with what there is.
func (c counts) watched() (bytes int64) {
	for of, n := range c.bytes {
		if of.verb == "watch" {
			bytes += n
		}
	}
	return bytes
}
