package rebuild

import (
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/cli/rebuild"
	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pv"
	"github.com/hostdir/hostdir/tests/apiserver"
)

const (
	driver   = "csi.hostdir.io"
	class    = "hostdir"
	system   = "hostdir-system"
	patience = 40 * time.Second
)

type cluster struct {
	kubernetes.Interface
	server *apiserver.Server
	spaces int
}

func start(t *testing.T) *cluster {
	t.Helper()
	s := apiserver.Start(t)
	s.Config.QPS = -1
	c := &cluster{Interface: kubernetes.NewForConfigOrDie(s.Config), server: s}
	s.StartControllerManager(t, "persistentvolume-binder-controller", "persistentvolumeclaim-protection-controller", "persistentvolume-protection-controller")
	c.makeNamespace(t, system)
	return c
}

func (c *cluster) makeNamespace(t *testing.T, name string) {
	t.Helper()
	if _, err := c.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// tenant is a namespace with a claim "data".
func (c *cluster) tenant(t *testing.T) string {
	t.Helper()
	c.spaces++
	name := fmt.Sprintf("shop-%d", c.spaces)
	c.makeNamespace(t, name)
	return name
}

func volume(namespace, node string) rebuild.Volume {
	return rebuild.Volume{Node: node, Adoptable: admin.Adoptable{
		ID: "uuid.pv-" + namespace, PersistentVolume: "pv-" + namespace, Claim: &admin.Claim{Namespace: namespace, Name: "data"}, CapacityBytes: 1 << 30,
		AccessModes: []string{"ReadWriteOnce"}, Class: config.Class{Name: class, Pool: "default"}, Attributes: map[string]string{"reuse": "same-claim"},
		Driver: driver, NodeLabels: map[string]string{driver + "/node": node},
	}}
}

// run plans and does what is to do, and returns how much that was. It crashes as crash
// says, nil for never.
func (c *cluster) run(t *testing.T, crash *apiserver.Crash, volumes ...rebuild.Volume) (done int, err error) {
	t.Helper()
	config := rest.CopyConfig(c.server.Config)
	if crash != nil {
		config.Wrap(crash.Transport)
	}
	source := rebuild.Source{Clients: kubernetes.NewForConfigOrDie(config), System: system, Driver: driver}
	world, err := source.Collect(t.Context(), volumes)
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	for _, row := range rebuild.Plan(world, rebuild.Options{Claims: true}) {
		if row.InConflict() {
			t.Fatalf("%+v", row)
		}
		if row.Todo() {
			done++
			errs = append(errs, source.Do(t.Context(), row))
		}
	}
	return done, errors.Join(errs...)
}

// runAgain runs it as often as a person would, until nothing is to do.
func (c *cluster) runAgain(t *testing.T, volumes ...rebuild.Volume) {
	t.Helper()
	for range 3 {
		done, err := c.run(t, nil, volumes...)
		if err != nil {
			t.Fatal(err)
		}
		if done == 0 {
			return
		}
	}
	t.Fatal("there is always something to do")
}

// isBound waits until the claim is bound to its volume, which is on a node.
func (c *cluster) isBound(t *testing.T, namespace, node string) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
	t.Helper()
	var claim *corev1.PersistentVolumeClaim
	var v *corev1.PersistentVolume
	met := func() (err error) {
		if claim, err = c.CoreV1().PersistentVolumeClaims(namespace).Get(t.Context(), "data", metav1.GetOptions{}); err != nil {
			return err
		}
		if v, err = c.CoreV1().PersistentVolumes().Get(t.Context(), "pv-"+namespace, metav1.GetOptions{}); err != nil {
			return err
		}
		if claim.Status.Phase != corev1.ClaimBound || claim.Spec.VolumeName != v.Name || v.Status.Phase != corev1.VolumeBound || v.Spec.ClaimRef.UID != claim.UID || pv.Node(v, driver) != node {
			return fmt.Errorf("the claim is %s to %q, the volume %s on %q", claim.Status.Phase, claim.Spec.VolumeName, v.Status.Phase, pv.Node(v, driver))
		}
		return nil
	}
	err := met()
	for deadline := time.Now().Add(patience); err != nil; err = met() {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return claim, v
}

func TestRebuild(t *testing.T) {
	c := start(t)
	t.Run("a claim is Lost", c.lostClaim)
	t.Run("a claim waits", c.waitingClaim)
	t.Run("etcd is lost", func(t *testing.T) {
		apiserver.AtEachWrite(t, func(t *testing.T, crash *apiserver.Crash) {
			namespace := c.tenant(t)
			_, err := c.run(t, crash, volume(namespace, "node-a"))
			if (err != nil) != crash.Happened() {
				t.Errorf("with a crash: %v, it ends with %v", crash.Happened(), err)
			}
			c.runAgain(t, volume(namespace, "node-a"))
			_, v := c.isBound(t, namespace, "node-a")
			if v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain || v.Spec.CSI.VolumeAttributes["reuse"] != "same-claim" {
				t.Errorf("it is %+v", v.Spec)
			}
		})
	})
	t.Run("its claim is bound and the disk moved", func(t *testing.T) {
		apiserver.AtEachWrite(t, func(t *testing.T, crash *apiserver.Crash) {
			namespace := c.tenant(t)
			c.runAgain(t, volume(namespace, "node-a"))
			before, v := c.isBound(t, namespace, "node-a")
			patch := []byte(`{"metadata":{"labels":{"team":"red"}},"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
			if _, err := c.CoreV1().PersistentVolumes().Patch(t.Context(), v.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}

			_, err := c.run(t, crash, volume(namespace, "node-b"))
			if (err != nil) != crash.Happened() {
				t.Errorf("with a crash: %v, it ends with %v", crash.Happened(), err)
			}
			c.runAgain(t, volume(namespace, "node-b"))
			after, v := c.isBound(t, namespace, "node-b")
			if after.UID != before.UID || v.Labels["team"] != "red" || v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
				t.Errorf("the claim was %s and is %s, the volume %+v", before.UID, after.UID, v)
			}
			if notes, err := c.CoreV1().ConfigMaps(system).List(t.Context(), metav1.ListOptions{LabelSelector: "csi.hostdir.io/rebuild"}); err != nil || len(notes.Items) > 0 {
				t.Errorf("%d notes are left (%v)", len(notes.Items), err)
			}
		})
	})
}

// lostClaim has a volume come back whose PersistentVolume somebody deleted under its
// claim: the claim is the same, and so is the volume.
func (c *cluster) lostClaim(t *testing.T) {
	namespace := c.tenant(t)
	c.runAgain(t, volume(namespace, "node-a"))
	before, v := c.isBound(t, namespace, "node-a")
	volumes := c.CoreV1().PersistentVolumes()
	if err := volumes.Delete(t.Context(), v.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := volumes.Patch(t.Context(), v.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	c.runAgain(t, volume(namespace, "node-a"))
	if after, _ := c.isBound(t, namespace, "node-a"); after.UID != before.UID {
		t.Errorf("the claim was %s and is %s", before.UID, after.UID)
	}
}

// waitingClaim has a claim that was made first bind to its volume.
func (c *cluster) waitingClaim(t *testing.T) {
	namespace, class := c.tenant(t), class
	_, err := c.CoreV1().PersistentVolumeClaims(namespace).Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.runAgain(t, volume(namespace, "node-a"))
	c.isBound(t, namespace, "node-a")
}
