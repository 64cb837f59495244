package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kuberuntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/hostdir/hostdir/pkg/admin"
)

// A large cluster, and what a look at it may take.
const (
	largeNodes, largeVolumes = 100, 50
	largeTime                = 2 * time.Second
	largeBytes               = 100 << 20
)

// BenchmarkLargeCluster shows the overview and the volumes of a large cluster. What is
// counted is all that is allocated, garbage too, also by the API server and the nodes
// that are played here: the program never needs as much at once.
func BenchmarkLargeCluster(b *testing.B) {
	c := newLargeCluster(b)
	for _, args := range []string{"", "volumes -A"} {
		b.Run("kubectl hostdir "+args, func(b *testing.B) {
			b.ReportAllocs()
			before := allocated()
			for b.Loop() {
				s := &session{
					IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard},
					version:   testVersion, flags: genericclioptions.NewConfigFlags(true), clients: c.clients, dial: c.dial,
				}
				if status := s.run(b.Context(), strings.Fields(args)); status != OK {
					b.Fatalf("status %d", status)
				}
			}
			if used := (allocated() - before) / uint64(b.N); used > largeBytes {
				b.Errorf("it allocates %d MiB, more than %d", used>>20, largeBytes>>20)
			}
			if each := b.Elapsed() / time.Duration(b.N); each > largeTime {
				b.Errorf("it takes %s, more than %s", each, largeTime)
			}
		})
	}
}

// allocated is what was allocated since the program has started.
func allocated() uint64 {
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	return now.TotalAlloc
}

func newLargeCluster(b *testing.B) *testCluster {
	plugins := map[string]http.Handler{}
	var objects []kuberuntime.Object
	for i := range largeNodes {
		node := fmt.Sprintf("node-%03d", i)
		var volumes []admin.Volume
		for j := range largeVolumes {
			name := fmt.Sprintf("pvc-%03d-%03d", i, j)
			claim := fmt.Sprintf("data-%d", i*largeVolumes+j)
			volumes = append(volumes, answered(name, node, int64(j)<<24, "xfs"))
			objects = append(objects, testClaim("shop", claim, name), testVolume(name, node, "shop", claim), testPod("shop", "pod-"+claim, claim, node))
		}
		disk := testDisk(node, 60<<30, 30<<30)
		objects = append(objects, &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: node}, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{{Name: testDriver}}}})
		plugins[node] = encoded(b, canned{"GET /disks": admin.Disks{Disks: []admin.Disk{disk}}, "GET /volumes": admin.Volumes{Volumes: volumes}})
	}
	c := newTestCluster(plugins, objects...)
	for node := range plugins {
		if _, err := c.clients.CoreV1().Pods("hostdir-system").Update(b.Context(), readyPod(node), metav1.UpdateOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	return c
}

// encoded encodes answers beforehand: a node's work is not counted.
func encoded(b *testing.B, answers canned) http.Handler {
	texts := map[string][]byte{}
	for question, value := range answers {
		text, err := json.Marshal(value)
		if err != nil {
			b.Fatal(err)
		}
		texts[question] = text
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(texts[r.Method+" "+r.URL.Path]) })
}
