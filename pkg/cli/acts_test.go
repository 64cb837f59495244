package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	"github.com/hostdir/hostdir/pkg/admin"
)

// actCluster is a cluster for commands that write: it binds claims, tells what the
// person may do, and loses the person's program at a write.
type actCluster struct {
	*testCluster
	// denied are rights, as "patch persistentvolumes", that the person has not.
	denied []string
	// writes are counted, and from the one of number killedAt on all fail; if afterwards
	// is set it is made, and only the answer lost.
	writes, killedAt int
	afterwards       bool
}

var errKilled = errors.New("killed")

func newActCluster(plugins map[string]http.Handler, objects ...runtime.Object) *actCluster {
	c := &actCluster{testCluster: newTestCluster(plugins, objects...)}
	c.clients.PrependReactor("*", "*", c.react)
	return c
}

func (c *actCluster) react(action clienttesting.Action) (bool, runtime.Object, error) {
	tracked := clienttesting.ObjectReaction(c.clients.Tracker())
	gvr := action.GetResource()
	create, creates := action.(clienttesting.CreateActionImpl)
	switch {
	case gvr.Resource == "selfsubjectaccessreviews":
		review := create.GetObject().(*authorizationv1.SelfSubjectAccessReview)
		a := review.Spec.ResourceAttributes
		review.Status.Allowed = !slices.Contains(c.denied, a.Verb+" "+a.Resource)
		return true, review, nil
	case gvr.Group == "authentication.k8s.io":
		return false, nil, nil
	case creates && len(create.CreateOptions.DryRun) > 0:
		return true, create.GetObject(), nil
	case action.GetVerb() == "get" && gvr.Resource == "persistentvolumeclaims":
		_, object, err := tracked(action)
		if err == nil {
			object = c.bound(object.(*corev1.PersistentVolumeClaim))
		}
		return true, object, err
	case action.GetVerb() == "get" || action.GetVerb() == "list":
		return false, nil, nil
	}
	c.writes++
	if creates {
		object, _ := create.GetObject().(metav1.Object)
		object.SetUID(types.UID("uid of " + object.GetName()))
	}
	dead := c.killedAt > 0 && c.writes >= c.killedAt
	if dead && (!c.afterwards || c.writes > c.killedAt) {
		return true, nil, errKilled
	}
	handled, object, err := tracked(action)
	if dead && err == nil {
		err = errKilled
	}
	return handled, object, err
}

// bound is a claim as Kubernetes leaves it once its volume is for it.
func (c *actCluster) bound(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	object, err := c.clients.Tracker().Get(corev1.SchemeGroupVersion.WithResource("persistentvolumes"), "", claim.Spec.VolumeName)
	if err == nil && object.(*corev1.PersistentVolume).Spec.ClaimRef.UID == claim.UID {
		claim = claim.DeepCopy()
		claim.Status.Phase = corev1.ClaimBound
	}
	return claim
}

// writtenAt is the only thing in which two runs may differ.
var writtenAt = regexp.MustCompile(`"time":"[^"]*",`)

// state is all that a command has to leave the same, however often it was killed.
func (c *actCluster) state(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	add := func(list any, err error) {
		if err != nil {
			t.Fatal(err)
		}
		line, _ := json.Marshal(list)
		fmt.Fprintf(&text, "%s\n", writtenAt.ReplaceAll(line, nil))
	}
	all := metav1.ListOptions{}
	sets, err := c.clients.AppsV1().StatefulSets("").List(t.Context(), all)
	add(sets.Items, err)
	maps, err := c.clients.CoreV1().ConfigMaps("").List(t.Context(), all)
	add(maps.Items, err)
	claims, err := c.clients.CoreV1().PersistentVolumeClaims("").List(t.Context(), all)
	add(claims.Items, err)
	volumes, err := c.clients.CoreV1().PersistentVolumes().List(t.Context(), all)
	add(volumes.Items, err)
	return text.String()
}

// killedAnywhere runs a command killed at each of its writes, before or after it, and
// again; between the two holds must not fail. It returns how many writes there are.
func killedAnywhere(t *testing.T, fresh func() *actCluster, holds func(*testing.T, *actCluster), args ...string) int {
	t.Helper()
	whole := fresh()
	if _, stderr, status := whole.run(t, "", args...); status != OK {
		t.Fatalf("status %d: %s", status, stderr)
	}
	want := whole.state(t)
	for _, afterwards := range []bool{false, true} {
		for n := 1; n <= whole.writes; n++ {
			t.Run(fmt.Sprintf("write %d, made %v", n, afterwards), func(t *testing.T) {
				c := fresh()
				c.killedAt, c.afterwards = n, afterwards
				if _, _, status := c.run(t, "", args...); status == OK {
					t.Fatal("it was killed, and says that all is well")
				}
				holds(t, c)
				c.killedAt = 0
				_, stderr, status := c.run(t, "", args...)
				// What was all done need not be found again.
				if status != OK && !(afterwards && n == whole.writes) {
					t.Fatalf("again: status %d: %s", status, stderr)
				}
				if got := c.state(t); got != want {
					t.Errorf("it ends as\n%s\nand not as\n%s", got, want)
				}
			})
		}
	}
	return whole.writes
}

// onNode is a volume of node a, bound to a claim that exists.
func onNode(name, claim string, size string) (*corev1.PersistentVolume, *corev1.PersistentVolumeClaim) {
	class, request := "hostdir", resource.MustParse(size)
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: claim, Namespace: "shop", UID: types.UID("uid of " + claim), Annotations: map[string]string{
			storageProvisioner: "csi.hostdir.io", "pv.kubernetes.io/bind-completed": "yes", "note": "kept",
		}},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, VolumeName: name, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: request}},
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: corev1.ResourceList{corev1.ResourceStorage: request}},
	}
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid of " + name), Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": "csi.hostdir.io"}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{corev1.ResourceStorage: request}, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			ClaimRef:               &corev1.ObjectReference{Namespace: "shop", Name: claim, UID: c.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.hostdir.io", VolumeHandle: "uuid-1." + name}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "csi.hostdir.io/node", Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}}},
			}}}},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound},
	}
	return v, c
}

func expandable(name string, allowed bool) *storagev1.StorageClass {
	return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: "csi.hostdir.io", AllowVolumeExpansion: &allowed}
}

// roomy is a plugin with a disk that has so much room.
func roomy(bytes int64) canned {
	return canned{"GET /disks": admin.Disks{Disks: []admin.Disk{{Path: "/mnt/a", UUID: "uuid-1", State: admin.Ready, AvailableBytes: bytes}}}}
}

func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("it does not say %q:\n%s", w, text)
		}
	}
}

func TestResizeClaim(t *testing.T) {
	fresh := func(change func(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim), objects ...runtime.Object) *actCluster {
		v, c := onNode("pv-1", "data", "2Gi")
		if change != nil {
			change(v, c)
		}
		return newActCluster(map[string]http.Handler{"a": roomy(3 << 30)}, append(objects, v, c)...)
	}
	class := expandable("hostdir", true)
	for _, test := range []struct {
		name    string
		cluster *actCluster
		size    string
		status  int
		says    string
		want    string
	}{
		{"it grows", fresh(nil, class), "4Gi", OK, "claim shop/data: 2Gi -> 4Gi", "4Gi"},
		{"as much as there is", fresh(nil, class), "5Gi", OK, "claim shop/data: 2Gi -> 5Gi", "5Gi"},
		{"more than there is", fresh(nil, class), "6Gi", Wrong, "1Gi too little", "2Gi"},
		{"it has it", fresh(nil, class), "2048Mi", OK, "already", "2Gi"},
		{"it shrinks", fresh(nil, class), "1Gi", Wrong, "volumes do not shrink", "2Gi"},
		{"a request too large is taken back", fresh(func(_ *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) {
			c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("90Gi")
		}, class), "3Gi", OK, "90Gi -> 3Gi", "3Gi"},
		{"the class does not let it", fresh(nil, expandable("hostdir", false)), "4Gi", Wrong, "allowVolumeExpansion", "2Gi"},
		{"no class", fresh(nil), "4Gi", Wrong, "does not exist", "2Gi"},
		{"another driver's", fresh(func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) { v.Spec.CSI.Driver = "example.com" }, class), "4Gi", Wrong, "not one of hostdir", "2Gi"},
		{"not bound", fresh(func(_ *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) {
			c.Spec.VolumeName, c.Status.Phase = "", corev1.ClaimPending
		}, class), "4Gi", Wrong, "once they are bound", "2Gi"},
		{"no size", fresh(nil, class), "much", Unknown, "not a size", "2Gi"},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, status := test.cluster.run(t, "", "resize", "shop/data", test.size, "--yes")
			if status != test.status {
				t.Errorf("status %d: %s", status, stderr)
			}
			says(t, stdout+stderr, test.says)
			c, err := test.cluster.clients.CoreV1().PersistentVolumeClaims("shop").Get(t.Context(), "data", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if asks := c.Spec.Resources.Requests[corev1.ResourceStorage]; asks.String() != test.want {
				t.Errorf("it asks for %s", asks.String())
			}
		})
	}

	c := fresh(nil, class)
	c.denied = []string{"patch persistentvolumeclaims"}
	_, stderr, status := c.run(t, "", "resize", "shop/data", "4Gi", "--yes")
	if status != Wrong || c.writes > 0 {
		t.Errorf("status %d after %d writes", status, c.writes)
	}
	says(t, stderr, "you may not patch persistentvolumeclaims in namespace shop")

	c = fresh(nil, class)
	c.plugins["a"] = nil
	_, stderr, status = c.run(t, "", "resize", "shop/data", "400Gi", "--yes")
	if status != OK {
		t.Errorf("a node that does not answer: status %d", status)
	}
	says(t, stderr, "was not looked at: node a")
}

// setCluster has a StatefulSet of two replicas, with a template of hostdir and another.
func setCluster() *actCluster {
	class, other := "hostdir", "other"
	template := func(name, class string) corev1.PersistentVolumeClaim {
		return corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")}},
		}}
	}
	replicas, owner := int32(2), true
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: "db", Namespace: "shop", UID: "uid of db", Generation: 7, Labels: map[string]string{"app": "db"}, Annotations: map[string]string{"note": "kept"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Database", Name: "db", Controller: &owner}},
		},
		Spec:   appsv1.StatefulSetSpec{Replicas: &replicas, ServiceName: "db", VolumeClaimTemplates: []corev1.PersistentVolumeClaim{template("data", class), template("log", other)}},
		Status: appsv1.StatefulSetStatus{Replicas: 2},
	}
	objects := []runtime.Object{set, expandable(class, true)}
	for i, size := range []string{"2Gi", "2Gi", "9Gi"} {
		v, c := onNode(fmt.Sprint("pv-", i), fmt.Sprint("data-db-", i), size)
		objects = append(objects, v, c)
	}
	v, c := onNode("pv-x", "data-db-x", "1Gi") // not the StatefulSet's
	return newActCluster(map[string]http.Handler{"a": roomy(5 << 30)}, append(objects, v, c)...)
}

func theSet(t *testing.T, c *actCluster) *appsv1.StatefulSet {
	t.Helper()
	set, err := c.clients.AppsV1().StatefulSets("shop").Get(t.Context(), "db", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestResizeStatefulSet(t *testing.T) {
	resize := []string{"resize", "statefulset/db", "4Gi", "--namespace=shop"}
	c := setCluster()
	_, stderr, status := c.run(t, "", append(resize, "--dry-run")...)
	if status != OK || c.writes > 0 {
		t.Errorf("dry run: status %d, %d writes", status, c.writes)
	}
	says(t, stderr, "claim shop/data-db-0: 2Gi -> 4Gi\n", "claim shop/data-db-2 has 9Gi and stays", "-          storage: 2Gi\n+          storage: 4Gi\n", "Database db owns the StatefulSet")

	c = setCluster()
	before := theSet(t, c)
	if stdout, stderr, status := c.run(t, "y\n", resize...); status != OK {
		t.Fatalf("status %d: %s%s", status, stdout, stderr)
	}
	after := theSet(t, c)
	for i, want := range []string{"4Gi", "2Gi"} {
		if size := after.Spec.VolumeClaimTemplates[i].Spec.Resources.Requests[corev1.ResourceStorage]; size.String() != want {
			t.Errorf("template %d has %s", i, size.String())
		}
	}
	if after.Generation != 0 || after.Status.Replicas != 0 || after.Annotations["note"] != "kept" || after.Labels["app"] != "db" || len(after.OwnerReferences) != 1 || *after.Spec.Replicas != 2 || after.Spec.ServiceName != before.Spec.ServiceName {
		t.Errorf("it is not made anew as it was: %+v", after)
	}
	for _, action := range c.clients.Actions() {
		if d, ok := action.(clienttesting.DeleteActionImpl); ok && d.Resource.Resource == "statefulsets" {
			if p := d.DeleteOptions.PropagationPolicy; p == nil || *p != metav1.DeletePropagationOrphan || *d.DeleteOptions.Preconditions.UID != before.UID {
				t.Errorf("it is deleted with %+v", d.DeleteOptions)
			}
		}
	}
	stdout, _, status := c.run(t, "", resize...)
	if status != OK {
		t.Errorf("again: status %d", status)
	}
	says(t, stdout, "already")

	for _, test := range []struct {
		name, says string
		args       []string
		change     func(*actCluster)
	}{
		{"smaller", "it does not shrink", []string{"1Gi"}, func(*actCluster) {}},
		{"no room", "1Gi too little", []string{"5Gi"}, func(*actCluster) {}},
		{"no such template", "it has data, log", []string{"4Gi", "--template=x"}, func(*actCluster) {}},
		{"not hostdir's template", "log of statefulset shop/db is not one of hostdir", []string{"4Gi", "--template=log"}, func(*actCluster) {}},
		{"no right", "you may not delete statefulsets.apps in namespace shop", []string{"4Gi"}, func(c *actCluster) { c.denied = []string{"delete statefulsets"} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := setCluster()
			test.change(c)
			_, stderr, status := c.run(t, "", append([]string{"resize", "sts/db", "--namespace=shop", "--yes"}, test.args...)...)
			if status != Wrong || c.writes > 0 {
				t.Errorf("status %d, %d writes", status, c.writes)
			}
			says(t, stderr, test.says)
		})
	}
}

func TestResizeStatefulSetKilled(t *testing.T) {
	writes := killedAnywhere(t, setCluster, func(t *testing.T, c *actCluster) {
		_, err := c.clients.AppsV1().StatefulSets("shop").Get(t.Context(), "db", metav1.GetOptions{})
		if err == nil {
			return
		}
		kept, err := c.clients.CoreV1().ConfigMaps("shop").Get(t.Context(), keptSet("db"), metav1.GetOptions{})
		if err != nil {
			t.Fatalf("neither the StatefulSet is there, nor what was kept of it: %v", err)
		}
		says(t, kept.Data[manifestKey], "name: db", "storage: 4Gi", "kind: StatefulSet")
	}, "resize", "statefulset/db", "4Gi", "--namespace=shop", "--yes")
	if writes != 6 { // two claims, keep, delete, create, forget
		t.Errorf("there are %d writes", writes)
	}

	// Another size goes on as well, and what was kept is not needed any more.
	c := setCluster()
	c.killedAt = 5
	c.run(t, "", "resize", "statefulset/db", "4Gi", "--namespace=shop", "--yes")
	c.killedAt = 0
	_, stderr, status := c.run(t, "", "resize", "statefulset/db", "5Gi", "--namespace=shop", "--yes")
	if status != Wrong { // the claims have 2Gi still, and are to get 5Gi: there is no room
		t.Errorf("status %d: %s", status, stderr)
	}
	_, stderr, status = c.run(t, "", "resize", "statefulset/db", "4500Mi", "--namespace=shop", "--yes")
	if status != OK {
		t.Errorf("status %d: %s", status, stderr)
	}
	says(t, stderr, "was deleted by an earlier call")
	if size := theSet(t, c).Spec.VolumeClaimTemplates[0].Spec.Resources.Requests[corev1.ResourceStorage]; size.String() != "4500Mi" {
		t.Errorf("the template has %s", size.String())
	}
}
