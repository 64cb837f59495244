package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/hostdir/hostdir/pkg/admin/server"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/plugin"
)

// importCluster is a node with a real plugin's store, and API objects: two hostPath
// volumes that are bound to the claims of a StatefulSet at scale 0.
type importCluster struct {
	*testing.T
	clients *fake.Clientset
	socket  string
	old     string
	out     bytes.Buffer
	errs    bytes.Buffer

	mu sync.Mutex // guards what is below
	// at is the write that fails, counted from 1, and killed that all after it do.
	at, writes int
	lost       bool
	killed     bool
}

// write counts a write and says whether it is done, and whether its answer comes.
func (c *importCluster) write() (before, after error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	switch {
	case c.killed:
		return errKilled, nil
	case c.writes != c.at:
		return nil, nil
	}
	c.killed = true
	if c.lost {
		return nil, errKilled
	}
	return errKilled, nil
}

func newImportCluster(t *testing.T) *importCluster {
	plugin.RequireRoot(t)
	root := t.TempDir()
	c := &importCluster{T: t, old: filepath.Join(root, "old"), socket: filepath.Join(shortDir(t), "s")}
	for _, path := range []string{root + "/pool", c.old + "/www-0", c.old + "/www-1"} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+"/index.html", []byte("of "+filepath.Base(path)), 0o600); err != nil && !strings.HasSuffix(path, "pool") {
			t.Fatal(err)
		}
	}
	if err := os.Remove(root + "/pool/index.html"); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(root, "config.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "pools: [{name: default, paths: [%q]}]\nimport: [%q]", root+"/pool", c.old), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), "worker-1", config, "")
	if err != nil {
		t.Fatal(err)
	}
	s.Look(t.Context())
	nobody := func(*os.File) error { return nil }
	operators := &server.Server{
		Store: s, Driver: "csi.hostdir.io", NodeLabels: map[string]string{"csi.hostdir.io/node": "worker-1"},
		Mounts: func(*os.File) ([]dir.Mount, error) { return nil, nil }, CheckUnused: nobody,
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- operators.Serve(ctx, c.socket) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if conn, err := net.Dial("unix", c.socket); err == nil {
			conn.Close()
			break
		}
	}
	objects := []runtime.Object{
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-1", Labels: map[string]string{"kubernetes.io/hostname": "host-1"}}},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "hostdir-system", Name: "hostdir-node-1", Labels: map[string]string{"app.kubernetes.io/name": "hostdir", "app.kubernetes.io/component": "node"}},
			Spec:       corev1.PodSpec{NodeName: "worker-1"}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
		},
	}
	for i := range 2 {
		objects = append(objects, c.volumeObject(i), c.claimObject(i))
	}
	c.clients = fake.NewClientset(objects...)
	c.controllers()
	return c
}

func shortDir(t *testing.T) string {
	t.Helper()
	made, err := os.MkdirTemp("", "cli-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(made) })
	return made
}

func pvName(i int) string { return fmt.Sprintf("www-pv-%d", i) }

func claimUID(i int) types.UID {
	return types.UID(fmt.Sprintf("00000000-0000-0000-0000-00000000000%d", i))
}

const oldClass = "my-storage-class"

func (c *importCluster) volumeObject(i int) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: pvName(i), UID: types.UID("old-" + pvName(i)), Finalizers: []string{"kubernetes.io/pv-protection"}, Labels: map[string]string{"app": "web"}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:    corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Mi")},
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: oldClass,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: fmt.Sprintf("%s/www-%d", c.old, i)}},
			ClaimRef:                      &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: "shop", Name: fmt.Sprintf("www-web-%d", i), UID: claimUID(i)},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "kubernetes.io/hostname", Operator: corev1.NodeSelectorOpIn, Values: []string{"host-1"}}},
			}}}},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound},
	}
}

func (c *importCluster) claimObject(i int) *corev1.PersistentVolumeClaim {
	class := oldClass
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("www-web-%d", i), UID: claimUID(i), Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: pvName(i), StorageClassName: &class},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	}
}

var volumesResource = schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumes"}

// controllers does what an API server and kube-controller-manager do: an object with
// finalizers outlives its deletion, and a claim without its volume is Lost, until it is
// written to while there is one that has its UID.
func (c *importCluster) controllers() {
	tracker := c.clients.Tracker()
	get := func(name string) *corev1.PersistentVolume {
		o, err := tracker.Get(volumesResource, "", name)
		if err != nil {
			return nil
		}
		return o.(*corev1.PersistentVolume).DeepCopy()
	}
	c.clients.PrependReactor("delete", "persistentvolumes", func(a clienttesting.Action) (bool, runtime.Object, error) {
		v := get(a.(clienttesting.DeleteAction).GetName())
		if v == nil || len(v.Finalizers) == 0 {
			return false, nil, nil
		}
		if v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
			c.Errorf("%s is deleted with the policy %s", v.Name, v.Spec.PersistentVolumeReclaimPolicy)
		}
		now := metav1.Now()
		v.DeletionTimestamp = &now
		return true, nil, tracker.Update(volumesResource, v, "")
	})
	c.clients.PrependReactor("patch", "persistentvolumes", func(a clienttesting.Action) (bool, runtime.Object, error) {
		name := a.(clienttesting.PatchAction).GetName()
		v := get(name)
		if v != nil && v.DeletionTimestamp != nil && strings.Contains(string(a.(clienttesting.PatchAction).GetPatch()), `"finalizers":[]`) {
			return true, v, tracker.Delete(volumesResource, "", name)
		}
		return false, nil, nil
	})
	c.clients.PrependReactor("create", "persistentvolumes", func(a clienttesting.Action) (bool, runtime.Object, error) {
		v := a.(clienttesting.CreateAction).GetObject().(*corev1.PersistentVolume)
		v.Finalizers, v.UID = []string{"kubernetes.io/pv-protection"}, types.UID(fmt.Sprint("made-", time.Now().UnixNano()))
		return false, nil, nil
	})
	lost := map[string]bool{}
	claimNow := func(name string) (*corev1.PersistentVolumeClaim, error) {
		o, err := tracker.Get(schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}, "shop", name)
		if err != nil {
			return nil, err
		}
		claim := o.(*corev1.PersistentVolumeClaim).DeepCopy()
		if v := get(claim.Spec.VolumeName); v == nil || v.Spec.ClaimRef == nil || v.Spec.ClaimRef.UID != claim.UID {
			lost[name] = true
		}
		if lost[name] {
			claim.Status.Phase = corev1.ClaimLost
		}
		return claim, nil
	}
	c.clients.PrependReactor("delete", "persistentvolumes", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if v := get(a.(clienttesting.DeleteAction).GetName()); v != nil {
			lost[v.Spec.ClaimRef.Name] = true
		}
		return false, nil, nil
	})
	c.clients.PrependReactor("patch", "persistentvolumeclaims", func(a clienttesting.Action) (bool, runtime.Object, error) {
		name := a.(clienttesting.PatchAction).GetName()
		delete(lost, name)
		_, err := claimNow(name)
		return false, nil, err
	})
	rest := slices.Clone(c.clients.ReactionChain)
	for _, verb := range []string{"create", "delete", "patch", "update"} {
		c.clients.PrependReactor(verb, "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
			before, after := c.write()
			if before != nil {
				return true, nil, before
			}
			if after != nil { // it is done, and nobody hears of it
				for _, r := range rest {
					if !r.Handles(a) {
						continue
					}
					if done, _, _ := r.React(a); done {
						break
					}
				}
				return true, nil, after
			}
			return false, nil, nil
		})
	}
	c.clients.PrependReactor("get", "persistentvolumeclaims", func(a clienttesting.Action) (bool, runtime.Object, error) {
		claim, err := claimNow(a.(clienttesting.GetAction).GetName())
		return true, claim, err
	})
}

// run runs the command.
func (c *importCluster) run(args ...string) int {
	c.out.Reset()
	c.errs.Reset()
	namespace := "shop"
	flags := genericclioptions.NewConfigFlags(false)
	flags.Namespace = &namespace
	s := &session{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &c.out, ErrOut: &c.errs}, flags: flags, clients: c.clients,
		dial: func(ctx context.Context, _ *corev1.Pod) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", c.socket)
		},
	}
	root := newRoot(s)
	root.SetArgs(append([]string{"import"}, args...))
	err := root.ExecuteContext(c.Context())
	if err == nil {
		return OK
	}
	fmt.Fprintln(&c.errs, err)
	if with, ok := errors.AsType[*statusError](err); ok {
		return with.status
	}
	return Unknown
}

func (c *importCluster) mustRun(args ...string) {
	c.Helper()
	if status := c.run(args...); status != OK {
		c.Fatalf("import %q: status %d\n%s", args, status, &c.errs)
	}
}

func (c *importCluster) volume(i int) *corev1.PersistentVolume {
	c.Helper()
	v, err := c.clients.CoreV1().PersistentVolumes().Get(c.Context(), pvName(i), metav1.GetOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return v
}

// wantImported checks that both volumes are hostdir's.
func (c *importCluster) wantImported() {
	c.Helper()
	for i := range 2 {
		v := c.volume(i)
		if v.Spec.CSI == nil || !strings.HasSuffix(v.Spec.CSI.VolumeHandle, ".pvc-"+string(claimUID(i))) || v.Spec.ClaimRef.UID != claimUID(i) || v.Labels["app"] != "web" ||
			v.Spec.StorageClassName != oldClass || v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain || v.Annotations[importedFrom] == "" {
			c.Errorf("%+v", v)
		}
		if _, err := os.Stat(fmt.Sprintf("%s/www-%d", c.old, i)); err == nil {
			c.Error("the old directory is still there")
		}
		content, err := os.ReadFile(fmt.Sprintf("%s/../pool/claims/shop/www-web-%d/index.html", c.old, i))
		if err != nil || string(content) != fmt.Sprintf("of www-%d", i) {
			c.Errorf("%q, %v", content, err)
		}
	}
}

// wantOld checks that both volumes are what they were.
func (c *importCluster) wantOld() {
	c.Helper()
	for i := range 2 {
		v := c.volume(i)
		if v.Spec.HostPath == nil || v.Spec.ClaimRef.UID != claimUID(i) || v.Spec.NodeAffinity == nil || v.DeletionTimestamp != nil ||
			v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete || len(v.Annotations) > 0 {
			c.Errorf("%+v", v)
		}
		claim, err := c.clients.CoreV1().PersistentVolumeClaims("shop").Get(c.Context(), fmt.Sprintf("www-web-%d", i), metav1.GetOptions{})
		if err != nil || claim.Annotations[importing] != "" {
			c.Errorf("%v %v", claim, err)
		}
		content, err := os.ReadFile(fmt.Sprintf("%s/www-%d/index.html", c.old, i))
		if err != nil || string(content) != fmt.Sprintf("of www-%d", i) {
			c.Errorf("%q, %v", content, err)
		}
	}
}

func TestImport(t *testing.T) {
	c := newImportCluster(t)
	c.mustRun("pv/www-pv-0", "pv/www-pv-1", "--dry-run")
	if !strings.Contains(c.out.String(), "planned") || !strings.Contains(c.out.String(), "rename") {
		t.Errorf("plan:\n%s", &c.out)
	}
	c.wantOld()
	if status := c.run("pv/www-pv-0"); status == OK || !strings.Contains(c.errs.String(), "[y/N]") {
		t.Errorf("without an answer: %d\n%s", status, &c.errs)
	}
	c.wantOld()
	c.mustRun("-l", "app=web", "--yes")
	c.wantImported()
	if !strings.Contains(c.errs.String(), "cannot grow") {
		t.Errorf("nothing is said of the class that is missing:\n%s", &c.errs)
	}
	c.mustRun()
	if got := strings.Count(c.out.String(), "imported"); got != 2 {
		t.Errorf("listed:\n%s", &c.out)
	}
	c.mustRun("-l", "app=web", "--yes") // there is nothing to do
	c.mustRun("-l", "app=web", "--yes", "--undo")
	c.wantOld()
	c.mustRun("-l", "app=web", "--yes", "--undo")
	c.mustRun("-l", "app=web", "--yes")
	c.mustRun("-l", "app=web", "--yes", "--finish")
	c.wantImported()
	c.mustRun("-l", "app=web", "--yes", "--finish")
	if status := c.run("pv/www-pv-0", "--yes", "--undo"); status != Wrong {
		t.Errorf("undone after it was finished: %d\n%s", status, &c.errs)
	}
}

// TestImportKilled kills the program before each write and after each, and gives the same
// order, or undoes it.
func TestImportKilled(t *testing.T) {
	for _, orders := range [][2]string{{"", ""}, {"", "--undo"}, {"--undo", "--undo"}} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("import %s, then import %s, write done %t", orders[0], orders[1], lost), func(t *testing.T) {
				t.Parallel()
				for at, happened := 1, true; happened && !t.Failed(); at++ {
					t.Run(fmt.Sprintf("write %d", at), func(t *testing.T) { happened = importKilled(t, orders[0], orders[1], at, lost) })
				}
			})
		}
	}
}

// importKilled reports whether there were so many writes.
func importKilled(t *testing.T, killed, then string, at int, lost bool) (happened bool) {
	c := newImportCluster(t)
	args := func(order string) []string { return strings.Fields("-l app=web --yes " + order) }
	if killed == "--undo" {
		c.mustRun(args("")...)
	}
	c.dieAt(at, lost)
	status := c.run(args(killed)...)
	if happened = c.killed; happened == (status == OK) {
		t.Errorf("killed %t, and the status is %d", happened, status)
	}
	c.dieAt(0, false)
	c.mustRun(args(then)...)
	if then == "" {
		c.wantImported()
		c.mustRun(args("--undo")...)
	}
	c.wantOld()
	return happened
}

// dieAt has the program killed at a write from now on, at none with 0.
func (c *importCluster) dieAt(at int, lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.writes, c.lost, c.killed = at, 0, lost, false
}

func TestImportRefuses(t *testing.T) {
	pod := func(namespace string, v corev1.VolumeSource) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "user"}, Spec: corev1.PodSpec{NodeName: "worker-1", Volumes: []corev1.Volume{{Name: "v", VolumeSource: v}}}}
	}
	for _, test := range []struct {
		name, says string
		change     func(c *importCluster) error
	}{
		{"a claim in use", "scale its StatefulSet", func(c *importCluster) error {
			return c.clients.Tracker().Add(pod("shop", corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "www-web-0"}}))
		}},
		{"a directory in use", "mounted", func(c *importCluster) error {
			return c.clients.Tracker().Add(pod("other", corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: c.old + "/www-0/"}}))
		}},
		{"a directory of two volumes", "must not share", func(c *importCluster) error {
			v := c.volumeObject(0)
			v.Name = "another"
			return c.clients.Tracker().Add(v)
		}},
		{"a directory in another volume's", "must not share", func(c *importCluster) error {
			v := c.volumeObject(0)
			v.Name, v.Spec.HostPath.Path, v.Spec.NodeAffinity = "around", c.old, nil
			return c.clients.Tracker().Add(v)
		}},
		{"no claim", "belongs to no claim", change(func(v *corev1.PersistentVolume) { v.Spec.ClaimRef = nil })},
		{"a claim to come", "does not exist yet", change(func(v *corev1.PersistentVolume) { v.Spec.ClaimRef.Name, v.Spec.ClaimRef.UID = "later", "" })},
		{"a claim that is gone", "was deleted", change(func(v *corev1.PersistentVolume) { v.Spec.ClaimRef.Name = "gone" })},
		{"another claim of that name", "another claim", change(func(v *corev1.PersistentVolume) { v.Spec.ClaimRef.UID = "other" })},
		{"no node", "--node", change(func(v *corev1.PersistentVolume) { v.Spec.NodeAffinity = nil })},
		{"nodes that are not there", "fits 0 nodes", change(func(v *corev1.PersistentVolume) {
			v.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values = []string{"x"}
		})},
		{"several nodes", "access modes", change(func(v *corev1.PersistentVolume) {
			v.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
		})},
		{"somebody's finalizer", "example.com/keep", change(func(v *corev1.PersistentVolume) { v.Finalizers = append(v.Finalizers, "example.com/keep") })},
		{"another kind of volume", "neither a hostPath nor a local", change(func(v *corev1.PersistentVolume) {
			v.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{Path: "/x"}}
		})},
		{"a path that is not listed", "none of the directories", change(func(v *corev1.PersistentVolume) { v.Spec.HostPath.Path = "/etc" })},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newImportCluster(t)
			if err := test.change(c); err != nil {
				t.Fatal(err)
			}
			c.writes = 0
			if status := c.run("pv/www-pv-0", "--yes"); status != Wrong || !strings.Contains(c.errs.String(), test.says) {
				t.Errorf("status %d, want %q:\n%s", status, test.says, &c.errs)
			}
			if c.writes > 0 {
				t.Errorf("%d writes", c.writes)
			}
			if _, err := os.Stat(c.old + "/www-0/index.html"); err != nil {
				t.Error(err)
			}
		})
	}
}

// change changes the first volume.
func change(how func(v *corev1.PersistentVolume)) func(c *importCluster) error {
	return func(c *importCluster) error {
		v := c.volume(0)
		how(v)
		return c.clients.Tracker().Update(volumesResource, v, "")
	}
}

func TestImportNode(t *testing.T) {
	c := newImportCluster(t)
	if err := change(func(v *corev1.PersistentVolume) { v.Spec.NodeAffinity = nil })(c); err != nil {
		t.Fatal(err)
	}
	if err := c.clients.Tracker().Add(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "csi.hostdir.io", Parameters: map[string]string{"trashTTL": "24h"}}); err != nil {
		t.Fatal(err)
	}
	c.mustRun("pv/www-pv-0", "--yes", "--node=worker-1", "--class=fast")
	record, err := os.ReadFile(filepath.Join(filepath.Dir(c.old), "pool/volumes/pvc-"+string(claimUID(0)), "volume.json"))
	if err != nil || !strings.Contains(string(record), `"trashTTL": "24h0m0s"`) {
		t.Errorf("%s, %v", record, err)
	}
	if status := c.run("pv/none", "--yes"); status != Wrong {
		t.Errorf("a volume that is not there: %d\n%s", status, &c.errs)
	}
	if status := c.run("claim/none"); status != Unknown {
		t.Errorf("an argument that makes no sense: %d\n%s", status, &c.errs)
	}
	if _, err := c.clients.CoreV1().PersistentVolumes().Get(t.Context(), "none", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}
