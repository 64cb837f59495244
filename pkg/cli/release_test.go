package cli

import (
	"errors"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/hostdir/hostdir/pkg/admin"
)

// deleting has the provisioner delete volumes that are Released and to be deleted.
func deleting(c *actCluster) *actCluster {
	c.clients.PrependReactor("get", "persistentvolumes", func(action clienttesting.Action) (bool, runtime.Object, error) {
		name := action.(clienttesting.GetAction).GetName()
		object, err := c.clients.Tracker().Get(action.GetResource(), "", name)
		if err != nil {
			return true, nil, err
		}
		if v := object.(*corev1.PersistentVolume); v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete && v.Spec.ClaimRef.UID != "" {
			return true, nil, apierrors.NewNotFound(action.GetResource().GroupResource(), name)
		}
		return true, object, nil
	})
	return c
}

// planned is a plugin that would move a volume to the trash.
func planned(id string) canned {
	return canned{"POST /volumes/delete/plan": admin.Deletion{Volume: admin.Volume{ID: id, Path: "/mnt/a/volumes/x"}, TrashTTL: 1 << 40}}
}

func TestReleaseVolume(t *testing.T) {
	for _, test := range []struct {
		name   string
		arg    string
		change func(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim)
		plugin http.Handler
		more   []runtime.Object
		status int
		says   string
	}{
		{name: "Released", arg: "shop/data", status: OK, says: "volume pv-1 is released"},
		{name: "Released, by name", arg: "pv/pv-1", status: OK, says: "brings it back"},
		{name: "ordered before", arg: "pv/pv-1", change: func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) {
			v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
		}, status: OK, says: "is released"},
		{name: "reserved", arg: "shop/data", change: func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) {
			v.Spec.ClaimRef.UID, v.Status.Phase = "", corev1.VolumeAvailable
		}, status: OK, says: "is released"},
		{name: "bound", arg: "pv/pv-1", change: func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) { v.Status.Phase = corev1.VolumeBound }, status: Wrong, says: "is Bound, for claim shop/data"},
		{name: "for anybody", arg: "pv/pv-1", change: func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) { v.Spec.ClaimRef = nil }, status: Wrong, says: "in doubt"},
		{name: "made by a person", arg: "pv/pv-1", change: func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) { v.Annotations = nil }, status: Wrong, says: "release pv/uuid-1.pv-1"},
		{name: "another driver's", arg: "pv/pv-1", change: func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) { v.Spec.CSI.Driver = "x" }, status: Wrong, says: "not one of hostdir"},
		{name: "imported once", arg: "pv/pv-1", change: func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) {
			v.Annotations[importedFrom] = "/mnt/x"
		}, status: OK, says: "is released"},
		{name: "being renamed", arg: "pv/pv-1", change: func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) {
			v.Annotations[renameAnnotation] = "{}"
		}, status: Wrong, says: "being renamed"},
		{name: "taken from a claim", arg: "pv/pv-1", change: func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) { v.Spec.ClaimRef.Name = ":data" }, status: Wrong, says: "wait for some seconds"},
		{name: "mounted", arg: "pv/pv-1", plugin: canned{"POST /volumes/delete/plan": errors.New("it is mounted at /var/lib/kubelet/x")}, status: Wrong, says: "mounted at"},
		{name: "its node is silent", arg: "pv/pv-1", plugin: http.NotFoundHandler(), status: Wrong, says: "node a"},
		{name: "two volumes", arg: "shop/data", more: []runtime.Object{func() runtime.Object {
			v, _ := onNode("pv-2", "data", "1Gi")
			v.Status.Phase = corev1.VolumeReleased
			return v
		}()}, status: Wrong, says: "release pv/pv-2   # Released"},
		{name: "a directory of two", arg: "pv/pv-1", more: []runtime.Object{func() runtime.Object {
			v, _ := onNode("pv-2", "other", "1Gi")
			v.Spec.CSI.VolumeHandle = "uuid-1.pv-1"
			return v
		}()}, status: Wrong, says: "in doubt whose it is"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, c := onNode("pv-1", "data", "1Gi")
			v.Status.Phase, v.Spec.PersistentVolumeReclaimPolicy = corev1.VolumeReleased, corev1.PersistentVolumeReclaimRetain
			if test.change != nil {
				test.change(v, c)
			}
			if test.plugin == nil {
				test.plugin = planned("uuid-1.pv-1")
			}
			cluster := deleting(newActCluster(map[string]http.Handler{"a": test.plugin}, append(test.more, v)...))
			stdout, stderr, status := cluster.run(t, "", "release", test.arg, "--yes")
			if status != test.status || status != OK && cluster.writes > 0 {
				t.Errorf("status %d, %d writes: %s", status, cluster.writes, stderr)
			}
			says(t, stdout+stderr, test.says)
		})
	}

	for _, reserved := range []bool{false, true} {
		v, c := onNode("pv-1", "data", "1Gi")
		v.Status.Phase = corev1.VolumeReleased
		if reserved { // and a claim came that is about to be bound
			v.Spec.ClaimRef.UID, v.Status.Phase = "", corev1.VolumeAvailable
			c.Spec.VolumeName, c.Status.Phase = "", corev1.ClaimPending
		}
		for _, arg := range []string{"shop/data", "pv/pv-1"} {
			cluster := deleting(newActCluster(map[string]http.Handler{"a": planned("uuid-1.pv-1")}, v, c))
			_, stderr, status := cluster.run(t, "", "release", arg, "--yes")
			if status != Wrong || cluster.writes > 0 {
				t.Errorf("a living claim, reserved %v: status %d, %d writes", reserved, status, cluster.writes)
			}
			says(t, stderr, "claim shop/data lives")
		}
	}
}

func TestReleaseForgotten(t *testing.T) {
	made := &admin.Claim{Namespace: "shop", Name: "data"}
	lost := admin.Volume{ID: "uuid-1.pv-1", Name: "pv-1", Claim: made, Path: "/mnt/a/volumes/pv-1"}
	fresh := func(volumes []admin.Volume, objects ...runtime.Object) (*actCluster, *[]admin.VolumeRef) {
		var orders []admin.VolumeRef
		plugin := planned("uuid-1.pv-1")
		plugin["GET /volumes"] = admin.Volumes{Volumes: volumes}
		plugin["POST /volumes/delete"] = heard(&orders, admin.DeletedVolume{})
		return newActCluster(map[string]http.Handler{"a": plugin}, objects...), &orders
	}
	for _, arg := range []string{"shop/data", "pv/pv-1", "pv/uuid-1.pv-1"} {
		c, orders := fresh([]admin.Volume{lost, {ID: "uuid-1.pv-9", Name: "pv-9"}})
		stdout, stderr, status := c.run(t, "", "release", arg, "--yes")
		if status != OK || len(*orders) != 1 || (*orders)[0].Volume != "uuid-1.pv-1" {
			t.Errorf("%s: status %d, orders %v: %s", arg, status, *orders, stderr)
		}
		says(t, stdout, "uuid-1.pv-1 is released")
	}
	v, claim := onNode("pv-1", "data", "1Gi")
	named := v.DeepCopy()
	named.Name = "twin"
	claim.Spec.VolumeName = ""
	for _, test := range []struct {
		name    string
		arg     string
		volumes []admin.Volume
		objects []runtime.Object
		status  int
		says    string
	}{
		{"a PersistentVolume names it", "pv/uuid-1.pv-1", []admin.Volume{lost}, []runtime.Object{named}, Wrong, "PersistentVolume twin names volume"},
		{"its claim waits for it", "pv/pv-1", []admin.Volume{lost}, []runtime.Object{claim}, Wrong, "claim shop/data lives"},
		{"two of them", "shop/data", []admin.Volume{lost, {ID: "uuid-1.pv-2", Claim: made}}, nil, Wrong, "release pv/uuid-1.pv-2"},
		{"none", "shop/data", nil, nil, Unknown, "no forgotten volume"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, orders := fresh(test.volumes, test.objects...)
			_, stderr, status := c.run(t, "", "release", test.arg, "--yes")
			if status != test.status || len(*orders) > 0 {
				t.Errorf("status %d, orders %v", status, *orders)
			}
			says(t, stderr, test.says)
		})
	}
	c, orders := fresh(nil)
	c.clients.Tracker().Add(pluginPod("b"))
	if _, stderr, status := c.run(t, "", "release", "shop/data", "--yes"); status != Unknown || len(*orders) > 0 {
		t.Errorf("a node is silent: status %d: %s", status, stderr)
	}
	if all, err := c.clients.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{}); err != nil || len(all.Items) != 0 {
		t.Error(all, err)
	}
}
