package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
)

// lostCluster has lost its etcd: there are namespaces, and nodes that answer.
type lostCluster struct {
	clients *fake.Clientset
	answers map[string]map[string]any // by node and path; a node without any does not answer
}

func newLostCluster(answers map[string]map[string]any) *lostCluster {
	objects := []runtime.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}}
	for node := range answers {
		objects = append(objects, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "hostdir-" + node, Namespace: "hostdir-system", Labels: map[string]string{"app.kubernetes.io/name": "hostdir", "app.kubernetes.io/component": "node"}},
			Spec:       corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
		})
	}
	return &lostCluster{fake.NewClientset(objects...), answers}
}

func (c *lostCluster) dial(_ context.Context, pod *corev1.Pod) (net.Conn, error) {
	answers := c.answers[pod.Spec.NodeName]
	if answers == nil {
		return nil, errors.New("no route")
	}
	here, there := net.Pipe()
	listener := make(oneConnection, 1)
	listener <- there
	go (&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(answers[r.URL.Path]) })}).Serve(listener)
	return here, nil
}

// oneConnection is a listener for one.
type oneConnection chan net.Conn

func (l oneConnection) Accept() (net.Conn, error) {
	select {
	case c := <-l:
		return c, nil
	default:
		return nil, net.ErrClosed
	}
}
func (l oneConnection) Close() error   { return nil }
func (l oneConnection) Addr() net.Addr { return execAddr("test") }

func (c *lostCluster) rebuild(t *testing.T, stdin string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	s := &session{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(stdin), Out: &out, ErrOut: &errs},
		flags:     genericclioptions.NewConfigFlags(true), clients: c.clients, dial: c.dial,
	}
	root := newRoot(s)
	root.SetArgs(append([]string{"rebuild"}, args...))
	err := root.ExecuteContext(t.Context())
	if err == nil {
		return out.String(), errs.String(), OK
	}
	status = Unknown
	if with, ok := errors.AsType[*statusError](err); ok {
		status = with.status
	}
	return out.String(), errs.String() + err.Error(), status
}

// made are the names of what was created.
func (c *lostCluster) made(t *testing.T) (names []string) {
	t.Helper()
	volumes, err := c.clients.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Items {
		names = append(names, v.Name)
	}
	claims, err := c.clients.CoreV1().PersistentVolumeClaims("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range claims.Items {
		names = append(names, v.Namespace+"/"+v.Name)
	}
	slices.Sort(names)
	return names
}

func recordedVolume(node, name, namespace, claim string) admin.Adoptable {
	return admin.Adoptable{
		ID: "uuid-of-" + node + "." + name, PersistentVolume: name, Claim: &admin.Claim{Namespace: namespace, Name: claim}, CapacityBytes: 1 << 30,
		AccessModes: []string{"ReadWriteOnce"}, Class: config.Class{Name: "hostdir", Pool: "default"},
		Driver: "csi.hostdir.io", NodeLabels: map[string]string{"csi.hostdir.io/node": node},
	}
}

func lostNode(volumes ...admin.Adoptable) map[string]any {
	return map[string]any{"/disks": admin.Disks{Disks: []admin.Disk{{Path: "/mnt", State: admin.Ready}}}, "/volumes/pv": admin.Adoptables{Volumes: volumes}}
}

func twoNodes() *lostCluster {
	return newLostCluster(map[string]map[string]any{
		"a": lostNode(recordedVolume("a", "pv-0", "shop", "data-web-0")),
		"b": lostNode(recordedVolume("b", "pv-1", "shop", "data-web-1")),
	})
}

func TestRebuild(t *testing.T) {
	all := []string{"pv-0", "pv-1", "shop/data-web-0", "shop/data-web-1"}
	for _, test := range []struct {
		name   string
		stdin  string
		args   []string
		status int
		made   []string
		says   string
	}{
		{"with the claims", "", []string{"--claims", "--yes"}, OK, all, "PersistentVolumes to create: 2, to exchange: 0; claims to create: 2."},
		{"a person says yes", "y\n", []string{"--claims"}, OK, all, "Do it?"},
		{"a person says no", "n\n", []string{"--claims"}, Wrong, nil, "nothing was done"},
		{"nobody answers", "", nil, Unknown, nil, "--yes"},
		{"without the claims", "", []string{"--yes"}, OK, []string{"pv-0", "pv-1"}, "done: pv-0 on node a"},
		{"one node", "", []string{"--yes", "--node=b"}, OK, []string{"pv-1"}, "done: pv-1 on node b"},
		{"one namespace", "", []string{"--yes", "--namespace=bank"}, OK, nil, "Nothing is to do."},
		{"dry", "", []string{"--claims", "--dry-run"}, OK, nil, "to create: 2"},
		{"no such node", "", []string{"--node=c"}, Unknown, nil, "no pod on node c"},
		{"no such mode", "", []string{"--access-mode=ReadWriteMany"}, Unknown, nil, "--access-mode=ReadWriteMany"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := twoNodes()
			stdout, stderr, status := c.rebuild(t, test.stdin, test.args...)
			if status != test.status || !strings.Contains(stderr, test.says) {
				t.Errorf("status %d, want %d:\n%s%s", status, test.status, stdout, stderr)
			}
			if made := c.made(t); !slices.Equal(made, test.made) {
				t.Errorf("it made %q, want %q", made, test.made)
			}
			if test.status != OK || len(test.made) == 0 {
				return
			}
			if stdout, stderr, status := c.rebuild(t, "", test.args...); status != OK || !strings.Contains(stderr, "Nothing is to do.") || !strings.Contains(stdout, "exists") {
				t.Errorf("once more: status %d:\n%s%s", status, stdout, stderr)
			}
		})
	}
}

// TestRebuildTellsConflicts does what is clear, and tells the rest.
func TestRebuildTellsConflicts(t *testing.T) {
	c := twoNodes()
	c.answers["a"]["/volumes/pv"] = admin.Adoptables{
		Volumes: []admin.Adoptable{recordedVolume("a", "pv-0", "shop", "data-web-0"), recordedVolume("a", "pv-2", "shop", "data-web-1")},
		LeftOut: []admin.LeftOut{{Adoptable: admin.Adoptable{ID: "uuid-of-a.pv-3"}, Why: "its volume.json is gone", Quarantine: true}},
	}
	stdout, stderr, status := c.rebuild(t, "", "--claims", "--yes")
	if status != Wrong || !strings.Contains(stderr, "volumes that a person has to decide about: 3") || !strings.Contains(stdout, "its volume.json is gone") || !strings.Contains(stdout, "uuid-of-a.pv-2 on node a") {
		t.Errorf("status %d:\n%s%s", status, stdout, stderr)
	}
	if made := c.made(t); !slices.Equal(made, []string{"pv-0", "shop/data-web-0"}) {
		t.Errorf("it made %q", made)
	}
}

// TestRebuildWantsAllNodes does nothing while one does not answer, which may have the
// same volumes, unless a person names the node.
func TestRebuildWantsAllNodes(t *testing.T) {
	c := twoNodes()
	c.answers["b"] = nil
	if stdout, stderr, status := c.rebuild(t, "", "--yes"); status != Unknown || !strings.Contains(stderr, "node b: ") || !strings.Contains(stderr, "--node") {
		t.Errorf("status %d:\n%s%s", status, stdout, stderr)
	}
	if made := c.made(t); made != nil {
		t.Errorf("it made %q", made)
	}
	if stdout, stderr, status := c.rebuild(t, "", "--yes", "--node=a"); status != OK || !strings.Contains(stderr, "Warning: what this node has was not compared: node b") {
		t.Errorf("status %d:\n%s%s", status, stdout, stderr)
	}
	if made := c.made(t); !slices.Equal(made, []string{"pv-0"}) {
		t.Errorf("it made %q", made)
	}
}

// TestRebuildTellsDisks that nobody could look into.
func TestRebuildTellsDisks(t *testing.T) {
	c := twoNodes()
	c.answers["b"]["/disks"] = admin.Disks{Disks: []admin.Disk{{Path: "/mnt/b", State: admin.Unusable, Message: "it is not mounted"}}}
	if _, stderr, status := c.rebuild(t, "", "--yes"); status != Wrong || !strings.Contains(stderr, "Not looked into: node b, disk /mnt/b: it is not mounted") {
		t.Errorf("status %d:\n%s", status, stderr)
	}
	if _, stderr, status := c.rebuild(t, "", "--yes", "--node=a"); status != OK {
		t.Errorf("status %d:\n%s", status, stderr)
	}
}

// TestRebuildPrints has objects printed as kubectl reads them, and nothing created.
func TestRebuildPrints(t *testing.T) {
	c := twoNodes()
	stdout, stderr, status := c.rebuild(t, "", "--claims", "-o", "yaml")
	if status != OK || stderr != "" {
		t.Errorf("status %d: %s", status, stderr)
	}
	var list struct {
		Kind  string
		Items []json.RawMessage
	}
	if err := yaml.Unmarshal([]byte(stdout), &list); err != nil || list.Kind != "List" || len(list.Items) != 4 {
		t.Fatalf("%v:\n%s", err, stdout)
	}
	var v corev1.PersistentVolume
	var claim corev1.PersistentVolumeClaim
	for i, into := range map[int]any{0: &v, 2: &claim} {
		if err := yaml.UnmarshalStrict(list.Items[i], into); err != nil {
			t.Errorf("%v:\n%s", err, list.Items[i])
		}
	}
	if v.Name != "pv-0" || v.Spec.PersistentVolumeReclaimPolicy != "Retain" || v.Spec.ClaimRef.Name != "data-web-0" || claim.Spec.VolumeName != "pv-0" || *claim.Spec.StorageClassName != "hostdir" {
		t.Errorf("it prints\n%s", stdout)
	}
	if stdout, _, _ := c.rebuild(t, "", "-o", "name"); stdout != "persistentvolume/pv-0\npersistentvolume/pv-1\n" {
		t.Errorf("names are %q", stdout)
	}
	if made := c.made(t); made != nil {
		t.Errorf("it made %q", made)
	}
}
