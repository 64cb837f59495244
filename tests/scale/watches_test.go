package scale

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// played are watches of nodes that there are not. What arrives is counted and dropped.
type played struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
	bytes  map[string]*atomic.Int64 // that have arrived, by resource
	lost   atomic.Int64             // watches that the API server has ended
}

// play opens the watches of nodes beside the real one: those that the real node's
// sidecars have opened, as they reopen them, each sidecar on a connection of its own.
func (w *world) play(nodes int, sidecars ...running) *played {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &played{cancel: cancel, bytes: map[string]*atomic.Int64{}}
	w.Cleanup(p.stop)
	for _, s := range sidecars {
		for _, watch := range s.watches {
			p.bytes[watch.resource] = &atomic.Int64{}
		}
	}
	config := w.asAccount("hostdir-node")
	secure, err := rest.TLSConfigFor(config)
	w.must(err)
	host, revision := strings.TrimSuffix(config.Host, "/"), w.revision()
	var opening sync.WaitGroup
	next, failed := make(chan int), make(chan error, 1)
	for range 16 {
		opening.Go(func() {
			for n := range next {
				for _, s := range sidecars {
					if err := p.open(ctx, connection(secure, config), host, s.watches, nodeName(n), revision); err != nil {
						select {
						case failed <- err:
						default:
						}
					}
				}
			}
		})
	}
	for n := 1; n < nodes; n++ {
		next <- n
	}
	close(next)
	opening.Wait()
	select {
	case err := <-failed:
		w.Fatal(err)
	default:
	}
	return p
}

// connection is a new connection to the API server.
func connection(secure *tls.Config, config *rest.Config) http.RoundTripper {
	return transport.NewImpersonatingRoundTripper(transport.ImpersonationConfig{UserName: config.Impersonate.UserName},
		&http.Transport{TLSClientConfig: secure.Clone(), ForceAttemptHTTP2: true})
}

// open opens the watches of one sidecar.
func (p *played) open(ctx context.Context, connection http.RoundTripper, host string, watches []watch, name, revision string) error {
	for _, watch := range watches {
		query := maps.Clone(watch.query)
		query.Del("sendInitialEvents")
		query.Del("resourceVersionMatch")
		query.Set("resourceVersion", revision)
		query.Set("timeoutSeconds", "7200")
		if s := query.Get("labelSelector"); s != "" {
			query.Set("labelSelector", strings.ReplaceAll(s, node, name))
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, host+watch.path+"?"+query.Encode(), nil)
		if err != nil {
			return err
		}
		r.Header.Set("Accept", watch.accept)
		r.Header.Set("Accept-Encoding", "gzip") // as client-go does; with this, nothing here unpacks it
		answer, err := connection.RoundTrip(r)
		if err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			return fmt.Errorf("the watch %s: %s: %s", r.URL, answer.Status, text)
		}
		count := p.bytes[watch.resource]
		p.ended.Go(func() {
			defer answer.Body.Close()
			for buffer := make([]byte, 1024); ; {
				n, err := answer.Body.Read(buffer)
				count.Add(int64(n))
				if err != nil {
					if ctx.Err() == nil {
						p.lost.Add(1)
					}
					return
				}
			}
		})
	}
	return nil
}

// stop ends the watches.
func (p *played) stop() {
	p.cancel()
	p.ended.Wait()
}

// now returns how many bytes there were so far, by resource.
func (p *played) now() map[string]int64 {
	now := map[string]int64{}
	for resource, count := range p.bytes {
		now[resource] = count.Load()
	}
	return now
}

// arrived returns how many bytes there were so far, of some resources.
func (p *played) arrived(resources ...string) (sum int64) {
	for resource, count := range p.bytes {
		if slices.Contains(resources, resource) {
			sum += count.Load()
		}
	}
	return sum
}

// revision is the cluster's, now.
func (w *world) revision() string {
	w.Helper()
	list := &corev1.NamespaceList{}
	w.must(w.List(w.Context(), list, &client.ListOptions{Raw: &metav1.ListOptions{Limit: 1}}))
	return list.ResourceVersion
}
