package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/hostdir/hostdir/pkg/admin"
)

// testVersion is the program's, and its nodes'.
const testVersion = "v1.2.3"

// testCluster is a cluster of objects, and of nodes that answer at their sockets.
type testCluster struct {
	clients *fake.Clientset
	// plugins are the nodes' by name. A node without one does not answer.
	plugins map[string]http.Handler
	// refusal is what every exec fails with, runInPod and ends what becomes of a
	// command in a pod.
	refusal, ends error
	// waiting is why pods that are made do not start, "" if they do.
	waiting  string
	runInPod func(context.Context, *corev1.Pod, []string, remotecommand.StreamOptions) error
}

// newTestCluster has a pod of hostdir on each of the nodes.
func newTestCluster(plugins map[string]http.Handler, objects ...runtime.Object) *testCluster {
	for name := range plugins {
		objects = append(objects, pluginPod(name))
	}
	return &testCluster{clients: fake.NewClientset(objects...), plugins: plugins}
}

func pluginPod(node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "hostdir-node-" + node, Namespace: "hostdir-system",
			Labels: map[string]string{"app.kubernetes.io/name": "hostdir", "app.kubernetes.io/component": "node"},
		},
		Spec:   corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "hostdir"}, {Name: "csi-provisioner"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
}

// run runs the program, with a person who answers with stdin.
func (c *testCluster) run(t *testing.T, stdin string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	s := &session{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(stdin), Out: &out, ErrOut: &errs},
		version:   testVersion, flags: genericclioptions.NewConfigFlags(true), clients: c.clients, dial: c.dial, runInPod: c.runInPod,
	}
	status = s.run(t.Context(), args)
	return out.String(), errs.String(), status
}

// dial serves one connection.
func (c *testCluster) dial(_ context.Context, pod *corev1.Pod) (net.Conn, error) {
	if c.refusal != nil {
		return nil, c.refusal
	}
	plugin := c.plugins[pod.Spec.NodeName]
	if plugin == nil {
		return nil, errors.New("no route")
	}
	here, there := net.Pipe()
	go (&http.Server{Handler: plugin}).Serve(&oneConn{there})
	return here, nil
}

// oneConn is a listener for one connection.
type oneConn struct{ conn net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return execAddr("test") }

// canned answers with what is written down for "METHOD PATH"; an error is a refusal.
type canned map[string]any

// ServeHTTP answers one question or order, and tells testVersion but for a canned
// "version".
func (c canned) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version := testVersion
	if v, ok := c["version"].(string); ok {
		version = v
	}
	if version != admin.Older {
		w.Header().Set(admin.VersionHeader, version)
	}
	switch value := c[r.Method+" "+r.URL.Path].(type) {
	case nil:
		http.NotFound(w, r)
	case error:
		http.Error(w, value.Error(), admin.Refused)
	case http.HandlerFunc:
		value(w, r)
	default:
		json.NewEncoder(w).Encode(value)
	}
}

// heard answers an order, and keeps what it says.
func heard[Order any](orders *[]Order, done any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var order Order
		if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		*orders = append(*orders, order)
		json.NewEncoder(w).Encode(done)
	}
}
