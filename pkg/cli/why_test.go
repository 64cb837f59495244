package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/cli/why"
)

// whyCluster has a claim that waits for room on its only node, and one that is bound.
func whyCluster() []runtime.Object {
	class, wait := "hostdir", storagev1.VolumeBindingWaitForFirstConsumer
	claim := func(name string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"},
			Spec: corev1.PersistentVolumeClaimSpec{
				StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")}},
			},
			Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
		}
	}
	bound := claim("bound")
	bound.Spec.VolumeName, bound.Status.Phase = "pv-1", corev1.ClaimBound
	restores, clones := claim("restores"), claim("clones")
	restores.UID = "uid-restores"
	restores.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: "VolumeSnapshot", Name: "nightly"}
	clones.Annotations = map[string]string{"volume.kubernetes.io/selected-node": "a"}
	clones.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "bound"}
	return []runtime.Object{
		claim("waits"), bound, restores, clones,
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-1"}, Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.hostdir.io", VolumeHandle: "uuid-1.pv-1"}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "csi.hostdir.io/node", Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}}},
			}}}},
		}},
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: "csi.hostdir.io", VolumeBindingMode: &wait},
		&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "csi.hostdir.io"}},
		&storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{{Name: "csi.hostdir.io"}}}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop"}, Spec: corev1.PodSpec{Volumes: []corev1.Volume{{
			Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "waits"}},
		}}}},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "hostdir-node-1", Namespace: "hostdir-system", Labels: map[string]string{"app.kubernetes.io/name": "hostdir", "app.kubernetes.io/component": "node"}},
			Spec:       corev1.PodSpec{NodeName: "a"}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
		},
	}
}

// whyPlugin answers as a node with one disk of 1Gi does.
func whyPlugin(t *testing.T) dialNode {
	t.Helper()
	folder, err := os.MkdirTemp("", "why-")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(folder, "admin.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]any{
		"/disks":   admin.Disks{Disks: []admin.Disk{{Pool: "default", Path: "/mnt/a", UUID: "uuid-1", State: admin.Ready, AvailableBytes: 1 << 30}}},
		"/volumes": admin.Volumes{Volumes: []admin.Volume{{ID: "uuid-1.pv-1"}}},
		"/check":   admin.Check{},
		"/snapshots": admin.Snapshots{
			Snapshots: []admin.Snapshot{{ID: "uuid-1.snapshots.s", Ready: true}},
			Copies:    []admin.Copy{{Volume: "pvc-uid-restores", Source: "uuid-1.snapshots.s", Progress: &admin.Progress{Phase: "copying", Bytes: 1 << 20}}},
		},
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(answers[r.URL.Path]) })}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close(); os.RemoveAll(folder) })
	return func(ctx context.Context, _ *corev1.Pod) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
}

// whySnapshots are a VolumeSnapshot that is ready, and its content on node a.
func whySnapshots() *dynamicfake.FakeDynamicClient {
	object := func(kind, namespace, name string, fields map[string]any) *unstructured.Unstructured {
		u := &unstructured.Unstructured{Object: fields}
		u.SetAPIVersion("snapshot.storage.k8s.io/v1")
		u.SetKind(kind)
		u.SetNamespace(namespace)
		u.SetName(name)
		return u
	}
	return dynamicfake.NewSimpleDynamicClient(runtime.NewScheme(),
		object("VolumeSnapshot", "shop", "nightly", map[string]any{"status": map[string]any{"readyToUse": true, "boundVolumeSnapshotContentName": "content", "restoreSize": "1Gi"}}),
		object("VolumeSnapshotContent", "", "content", map[string]any{"spec": map[string]any{"driver": "csi.hostdir.io"}, "status": map[string]any{"snapshotHandle": "uuid-1.snapshots.s"}}))
}

func runWhy(t *testing.T, dial dialNode, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	s := &session{
		IOStreams: genericiooptions.IOStreams{Out: &out, ErrOut: &errs}, flags: genericclioptions.NewConfigFlags(true),
		clients: fake.NewClientset(whyCluster()...), dynamic: whySnapshots(), dial: dial,
	}
	root := newRoot(s)
	root.SetArgs(append([]string{"why", "--namespace=shop"}, args...))
	err := root.ExecuteContext(t.Context())
	if err == nil {
		return out.String(), errs.String(), OK
	}
	if with, ok := errors.AsType[*statusError](err); ok {
		return out.String(), err.Error(), with.status
	}
	return out.String(), err.Error(), Unknown
}

func TestWhy(t *testing.T) {
	dial := whyPlugin(t)
	hangUp := func(context.Context, *corev1.Pod) (net.Conn, error) { return nil, errors.New("no route") }
	for _, test := range []struct {
		name   string
		dial   dialNode
		args   []string
		status int
		says   []string
	}{
		{"a claim", dial, []string{"waits"}, Wrong, []string{"claim shop/waits: PoolFull\n", "  - node a, disk /mnt/a: it has room for 1Gi, 2Gi is asked for: 1Gi too little\n", "\nNext: "}},
		{"its pod", dial, []string{"pod/web"}, Wrong, []string{"pod shop/web, claim shop/waits: PoolFull\n"}},
		{"a pod of another namespace", dial, []string{"--namespace=bank", "pod/shop/web"}, Wrong, []string{"pod shop/web, claim shop/waits: PoolFull\n"}},
		{"of another namespace", dial, []string{"--namespace=bank", "shop/waits"}, Wrong, []string{"claim shop/waits: PoolFull\n"}},
		{"the name of the cause", dial, []string{"waits", "-o", "name"}, Wrong, []string{"PoolFull\n"}},
		{"nothing is wrong", dial, []string{"pvc/bound"}, OK, []string{"claim shop/bound: NothingWrong\nNothing is wrong.\n"}},
		{"a restore", dial, []string{"restores"}, Wrong, []string{"claim shop/restores: Copying\n", "  - node a: volume pvc-uid-restores is being made as a copy of uuid-1.snapshots.s: copying 1Mi\n"}},
		{"a clone", dial, []string{"clones"}, Wrong, []string{"claim shop/clones: SourceNoRoom\n", "1Gi too little"}},
		{"no such claim", dial, []string{"other"}, Unknown, []string{"claim shop/other: NotFound\n"}},
		{"a node that does not answer", hangUp, []string{"waits"}, Unknown, []string{"That is what remains", "could not look at hostdir on the nodes: node a: ", "no route"}},
		{"YAML", dial, []string{"waits", "-o", "yaml"}, Wrong, []string{"cause: PoolFull\n", "sure: true\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, status := runWhy(t, test.dial, test.args...)
			if status != test.status || stderr != "" {
				t.Errorf("status %d, %q; want %d", status, stderr, test.status)
			}
			for _, words := range test.says {
				if !strings.Contains(stdout, words) {
					t.Errorf("it does not say %q:\n%s", words, stdout)
				}
			}
		})
	}
	for _, subject := range []string{"a/b/c", "", "pvc/", "pod/", "/x"} {
		if _, stderr, status := runWhy(t, dial, subject); status != Unknown || !strings.Contains(stderr, "pvc/NAME") {
			t.Errorf("%q: status %d, %q", subject, status, stderr)
		}
	}
	if _, stderr, status := runWhy(t, dial, "waits", "-o", "csv"); status != Unknown || !strings.Contains(stderr, "--output=csv") {
		t.Errorf("status %d, %q", status, stderr)
	}
}

func TestWhyJSON(t *testing.T) {
	stdout, _, _ := runWhy(t, whyPlugin(t), "waits", "-o", "json")
	var c why.Cause
	if err := json.Unmarshal([]byte(stdout), &c); err != nil {
		t.Fatalf("%v:\n%s", err, stdout)
	}
	if c.Name != why.PoolFull || c.Claim != "shop/waits" || !c.Sure || len(c.Evidence) == 0 || c.Next == "" {
		t.Errorf("%+v", c)
	}
}
