package cli

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/hostdir/hostdir/pkg/admin"
)

const secret = "passwords.txt"

// reportCluster has one object of hostdir of each kind that a report holds, others,
// and a node that does not answer.
func reportCluster() *testCluster {
	ours := metav1.ObjectMeta{
		Name: "hostdir-node", Namespace: "hostdir-system", Labels: map[string]string{"app.kubernetes.io/name": "hostdir"},
		Annotations:   map[string]string{corev1.LastAppliedConfigAnnotation: "twice", "mine": "once"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "helm"}},
	}
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	volume := func(name, driver string) *corev1.PersistentVolume {
		return &corev1.PersistentVolume{ObjectMeta: named(name), Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driver}},
		}}
	}
	csiNode := func(name, driver string) *storagev1.CSINode {
		return &storagev1.CSINode{ObjectMeta: named(name), Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{{Name: driver}}}}
	}
	event := func(name, about string) *corev1.Event {
		return &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "hostdir-system"}, InvolvedObject: corev1.ObjectReference{Name: about}, Message: "about " + about}
	}
	crashed := pluginPod("a")
	crashed.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "hostdir", RestartCount: 1}, {Name: "csi-provisioner"}}
	return newTestCluster(map[string]http.Handler{
		"a": canned{
			"GET /disks": admin.Disks{}, "GET /volumes": admin.Volumes{},
			"GET /trash":     admin.Trash{Volumes: []admin.DeletedVolume{{Path: "/pool/trash/e", PurgeError: "unlinkat /pool/trash/e/data/mine/" + secret + ": operation not permitted: it is immutable"}}},
			"GET /snapshots": admin.Snapshots{Snapshots: []admin.Snapshot{{Quarantine: "read /pool/snapshots/snapshot-1/data/" + secret + ": input/output error"}}},
			"GET /check":     admin.Check{Report: admin.Report{Findings: []admin.Finding{{Path: "/pool/volumes/pvc-1/data/" + secret, Problem: "it is a mount"}}}},
		},
		"b": nil,
	},
		&corev1.ConfigMap{ObjectMeta: ours, Data: map[string]string{"config.yaml": "pools: []"}}, &appsv1.DaemonSet{ObjectMeta: ours},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "hostdir-secret", Namespace: "hostdir-system"}, Data: map[string][]byte{"x": []byte(secret)}},
		&storagev1.CSIDriver{ObjectMeta: named("csi.hostdir.io")},
		&storagev1.StorageClass{ObjectMeta: named("our-class"), Provisioner: "csi.hostdir.io"}, &storagev1.StorageClass{ObjectMeta: named("other-class"), Provisioner: "x"},
		volume("our-volume", "csi.hostdir.io"), volume("other-volume", "x"),
		csiNode("our-node", "csi.hostdir.io"), csiNode("other-node", "x"),
		event("our-event", "hostdir-node-a"), event("other-event", "shop"),
		&corev1.Node{ObjectMeta: named("a"), Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{KernelVersion: "6.1", KubeletVersion: "v1.37.0"}}},
	).with(crashed)
}

// with replaces an object.
func (c *testCluster) with(pod *corev1.Pod) *testCluster {
	if err := c.clients.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), pod, pod.Namespace); err != nil {
		panic(err)
	}
	return c
}

func TestReport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.tar.gz")
	stdout, stderr, status := reportCluster().run(t, "", "report", "--file", file)
	if want := file + " is written\n"; status != Unknown || stdout != want {
		t.Errorf("status %d, %q", status, stdout)
	}
	wantErr := "Look into it before you give it away: it holds names of nodes, claims and images.\n" +
		"Error: the archive has not everything (errors.txt in the archive):\n    nodes/b/disks.json: the node plugin does not answer: no route\n"
	if diff := cmp.Diff(wantErr, stderr); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
	files := unpack(t, file)
	want := []string{
		"configuration.yaml", "csidriver.yaml", "csinodes.yaml", "csistoragecapacities.yaml", "daemonsets.yaml", "deployments.yaml", "errors.txt", "events.yaml",
		"logs/hostdir-node-a/csi-provisioner.log", "logs/hostdir-node-a/hostdir.log", "logs/hostdir-node-a/hostdir.previous.log",
		"nodes/a/check.json", "nodes/a/disks.json", "nodes/a/snapshots.json", "nodes/a/trash.json", "nodes/a/volumes.json", "persistentvolumes.yaml", "pods.yaml", "storageclasses.yaml", "versions.json",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(files))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for name, content := range files {
		for _, foreign := range []string{secret, "other-", "shop", "twice", "helm"} {
			if strings.Contains(content, foreign) {
				t.Errorf("%s holds %q:\n%s", name, foreign, content)
			}
		}
	}
	for name, says := range map[string]string{
		"configuration.yaml": "pools: []", "daemonsets.yaml": "mine: once", "csidriver.yaml": "csi.hostdir.io", "storageclasses.yaml": "our-class", "persistentvolumes.yaml": "our-volume",
		"csinodes.yaml": "our-node", "events.yaml": "about hostdir-node-a", "pods.yaml": "hostdir-node-b", "logs/hostdir-node-a/hostdir.previous.log": "fake logs",
		"nodes/a/snapshots.json": `"read /pool/snapshots/snapshot-1/data/(cut out): input/output error"`,
		"nodes/a/trash.json":     `"unlinkat /pool/trash/e/data/(cut out): operation not permitted"`, "nodes/a/check.json": `"/pool/volumes/pvc-1/data/(cut out)"`, "errors.txt": "no route",
	} {
		if !strings.Contains(files[name], says) {
			t.Errorf("%s does not say %q:\n%s", name, says, files[name])
		}
	}
	versions := `{
  "program": "v1.2.3",
  "kubernetes": "v0.0.0-master+$Format:%H$",
  "nodes": [
    {
      "node": "a",
      "hostdir": "v1.2.3",
      "kubelet": "v1.37.0",
      "kernel": "6.1"
    },
    {
      "node": "b"
    }
  ]
}`
	if diff := cmp.Diff(versions, files["versions.json"]); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}

// Without any right the archive says so, and is one all the same.
func TestReportOfNothing(t *testing.T) {
	c := reportCluster()
	c.clients.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("forbidden") })
	file := filepath.Join(t.TempDir(), "report.tar.gz")
	_, stderr, status := c.run(t, "", "report", "--file", file)
	files := unpack(t, file)
	if status != Unknown || !strings.Contains(stderr, "persistentvolumes.yaml: forbidden") || len(files) != 2 || strings.Count(files["errors.txt"], "forbidden") < 10 {
		t.Errorf("status %d, %s, %v", status, stderr, files)
	}
}

func TestReportOverwritesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.tar.gz")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, status := reportCluster().run(t, "", "report", "--file", file)
	if content, err := os.ReadFile(file); status != Unknown || err != nil || string(content) != "mine" || !strings.Contains(stderr, "file exists") {
		t.Errorf("status %d, %s, the file holds %q", status, stderr, content)
	}
}

func TestWithoutFileNames(t *testing.T) {
	for text, want := range map[string]string{
		"open /p/volumes/pvc-1/data: no such file or directory":       "open /p/volumes/pvc-1/data: no such file or directory",
		"open /p/volumes/pvc-1/volume.json: input/output error":       "open /p/volumes/pvc-1/volume.json: input/output error",
		"open /p/volumes/pvc-1/data/a b: c: input/output error\nnext": "open /p/volumes/pvc-1/data/(cut out): input/output error\nnext",
		`err="open /p/trash/e/data/\"a\" b" path="/p"`:                `err="open /p/trash/e/data/(cut out)" path="/p"`,
		`{"path":"/p/trash/e/data/a: my name","kind":"x"}`:            `{"path":"/p/trash/e/data/(cut out)","kind":"x"}`,
		"/var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/pvc/mount": "/var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/pvc/mount",
	} {
		if got := string(withoutFileNames([]byte(text))); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", text, got, want)
		}
	}
}

// unpack returns the files of a report by name.
func unpack(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(header.Name, "hostdir-report/")] = string(content)
	}
}
