package nodeloss

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/hostdir/hostdir/pkg/controller/nodeloss"
	"github.com/hostdir/hostdir/pkg/controller/pv"
	"github.com/hostdir/hostdir/tests/apiserver"
)

const (
	driver    = "csi.hostdir.io"
	home      = "default" // the release's namespace
	class     = "hostdir"
	grace     = 3 * time.Second
	patience  = 40 * time.Second
	finalizer = "external-provisioner.volume.kubernetes.io/finalizer"
)

type cluster struct {
	client.Client
	server *apiserver.Server
}

func TestNodeLoss(t *testing.T) {
	s := apiserver.Start(t)
	s.Config.QPS = -1
	c := &cluster{server: s}
	var err error
	if c.Client, err = client.New(s.Config, client.Options{Scheme: scheme.Scheme}); err != nil {
		t.Fatal(err)
	}
	s.StartControllerManager(t, "persistentvolume-binder-controller", "persistentvolumeclaim-protection-controller",
		"persistentvolume-protection-controller", "statefulset-controller", "garbage-collector-controller", "namespace-controller")
	for i := range 9 {
		c.must(t, c.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("other-%d", i)}}))
	}
	for _, scenario := range []struct {
		name string
		test func(*scene)
	}{
		{"keep", keeps},
		{"release", releases},
		{"recreate", recreates},
		{"node-made-again", nodeMadeAgain},
		{"ten-at-once", tenAtOnce},
		{"by-hand", byHand},
		{"selected-node", givesClaimBack},
		{"capacity", cleansCapacity},
		{"dry-run", dryRun},
	} {
		t.Run(scenario.name, func(t *testing.T) {
			s := c.scene(t, scenario.name)
			s.options.DryRun = scenario.name == "dry-run"
			s.start(nil)
			scenario.test(s)
		})
	}
	t.Run("killed", func(t *testing.T) {
		n := 0
		apiserver.AtEachWrite(t, func(t *testing.T, crash *apiserver.Crash) {
			n++
			s := c.scene(t, fmt.Sprintf("killed-%d", n))
			s.start(crash)
			recreates(s)
		})
	})
}

func (c *cluster) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scene is a namespace, and a node of its own.
type scene struct {
	*testing.T
	*cluster
	namespace, node string
	options         nodeloss.Options
}

func (c *cluster) scene(t *testing.T, name string) *scene {
	s := &scene{T: t, cluster: c, namespace: name, node: "node-" + name, options: nodeloss.Options{Grace: grace, PerHour: 1000}}
	c.must(t, c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	s.addNode(s.node)
	t.Cleanup(s.clear)
	return s
}

// clear leaves nothing that the next scene would count.
func (s *scene) clear() {
	ctx := context.Background()
	var sets appsv1.StatefulSetList
	s.must(s.T, s.List(ctx, &sets, client.InNamespace(s.namespace)))
	for i := range sets.Items {
		s.must(s.T, s.Delete(ctx, &sets.Items[i]))
	}
	s.must(s.T, s.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(s.namespace), client.GracePeriodSeconds(0)))
	s.must(s.T, s.DeleteAllOf(ctx, &corev1.PersistentVolumeClaim{}, client.InNamespace(s.namespace)))
	var volumes corev1.PersistentVolumeList
	s.must(s.T, s.List(ctx, &volumes))
	for i := range volumes.Items {
		v := &volumes.Items[i]
		s.must(s.T, client.IgnoreNotFound(s.Patch(ctx, v, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))))
		s.must(s.T, client.IgnoreNotFound(s.Delete(ctx, v)))
	}
	// The brake on nodes counts what was given up within the hour.
	s.must(s.T, client.IgnoreNotFound(s.Delete(ctx, ledger())))
}

func (s *scene) start(crash *apiserver.Crash) (stop func()) {
	s.Helper()
	return s.server.RunManager(s.T, crash, func(m manager.Manager, _ *apiserver.Crash) error {
		return nodeloss.Add(m, driver, home, s.options)
	})
}

func (s *scene) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) eventually(what string, f func() error) {
	s.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("%s: %v", what, err)
		}
	}
}

func (s *scene) addNode(name string) {
	s.check(s.Create(s.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{driver + "/node": name}}}))
}

func (s *scene) dropNode(name string) {
	s.check(s.Delete(s.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}))
}

// makeVolume makes a volume as the provisioner does, for a claim that exists.
func (s *scene) makeVolume(claim, node, policy string) *corev1.PersistentVolume {
	s.Helper()
	var c corev1.PersistentVolumeClaim
	s.eventually("the claim is there", func() error {
		return s.Get(s.Context(), types.NamespacedName{Namespace: s.namespace, Name: claim}, &c)
	})
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + string(c.UID), Finalizers: []string{finalizer}, Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": driver}},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes: c.Spec.AccessModes, Capacity: c.Spec.Resources.Requests, StorageClassName: class,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			ClaimRef:                      &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: s.namespace, Name: claim, UID: c.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: driver, VolumeHandle: "0d3a2ba0-71c2-4b5f-9a3c-3f1f0e7a9b11.pvc-" + string(c.UID), VolumeAttributes: map[string]string{"onNodeLoss": policy},
			}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: driver + "/node", Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		},
	}
	if policy == "keep" {
		v.Spec.CSI.VolumeAttributes = nil
	}
	s.check(s.Create(s.Context(), v))
	s.eventually("the claim is bound", func() error {
		s.check(s.Get(s.Context(), client.ObjectKeyFromObject(&c), &c))
		if c.Status.Phase != corev1.ClaimBound {
			return fmt.Errorf("it is %s", c.Status.Phase)
		}
		return nil
	})
	s.check(s.Get(s.Context(), client.ObjectKeyFromObject(v), v))
	return v
}

func newClaim(namespace, name string) *corev1.PersistentVolumeClaim {
	c := class
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &c, AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("1Gi")}}},
	}
}

// replica makes a StatefulSet of one replica, whose volume is on the scene's node and
// whose pod is Pending.
func (s *scene) replica(policy string) *corev1.PersistentVolume {
	s.Helper()
	labels, one := map[string]string{"set": "db"}, int32(1)
	s.check(s.Create(s.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "db"},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "c", Image: "none", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}}}},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{*newClaim("", "data")},
		},
	}))
	return s.makeVolume("data-db-0", s.node, policy)
}

// released makes a volume that its claim has left.
func (s *scene) released(policy string) *corev1.PersistentVolume {
	s.Helper()
	s.check(s.Create(s.Context(), newClaim(s.namespace, "left")))
	v := s.makeVolume("left", s.node, policy)
	s.check(s.Delete(s.Context(), newClaim(s.namespace, "left")))
	s.eventually("the volume is Released", func() error {
		s.check(s.Get(s.Context(), client.ObjectKeyFromObject(v), v))
		if v.Status.Phase != corev1.VolumeReleased {
			return fmt.Errorf("it is %s", v.Status.Phase)
		}
		return nil
	})
	return v
}

func (s *scene) goes(v *corev1.PersistentVolume) {
	s.Helper()
	s.eventually("the PersistentVolume goes", func() error {
		err := s.Get(s.Context(), client.ObjectKeyFromObject(v), v)
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		case v.Status.Phase == corev1.VolumeReleased && v.Annotations["csi.hostdir.io/given-up"] != "" && v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain:
			s.Fatalf("a node that returned now would delete the data: %v", v)
		}
		return fmt.Errorf("it is %s, %v", v.Status.Phase, v.Annotations)
	})
}

// told waits for what people are told of a volume.
func (s *scene) told(v *corev1.PersistentVolume, state string) {
	s.Helper()
	s.eventually("people are told", func() error {
		s.check(s.Get(s.Context(), client.ObjectKeyFromObject(v), v))
		if got := v.Annotations[nodeloss.Told]; got != state {
			return fmt.Errorf("they were told %q, want %q", got, state)
		}
		return nil
	})
	s.eventually("there is an event", func() error {
		var all corev1.EventList
		s.check(s.List(s.Context(), &all))
		n := 0
		for _, e := range all.Items {
			if e.InvolvedObject.UID == v.UID {
				n++
			}
		}
		if n == 0 {
			return errors.New("there is none about the volume")
		}
		return nil
	})
}

// stays holds that a volume and its claim are as they were, after some time.
func (s *scene) stays(v *corev1.PersistentVolume) {
	s.Helper()
	time.Sleep(2 * grace)
	var now corev1.PersistentVolume
	s.check(s.Get(s.Context(), client.ObjectKeyFromObject(v), &now))
	if now.UID != v.UID || now.DeletionTimestamp != nil || now.Spec.PersistentVolumeReclaimPolicy != v.Spec.PersistentVolumeReclaimPolicy || now.Status.Phase != v.Status.Phase {
		s.Errorf("the volume was %v, and is %v", v, now)
	}
	if v.Status.Phase != corev1.VolumeBound {
		return
	}
	var c corev1.PersistentVolumeClaim
	s.check(s.Get(s.Context(), types.NamespacedName{Namespace: v.Spec.ClaimRef.Namespace, Name: v.Spec.ClaimRef.Name}, &c))
	if c.UID != v.Spec.ClaimRef.UID || c.DeletionTimestamp != nil {
		s.Errorf("the claim is %v", c)
	}
}

func keeps(s *scene) {
	v := s.replica("keep")
	s.dropNode(s.node)
	s.told(v, "kept")
	s.stays(v)
}

func releases(s *scene) {
	used, left := s.replica("release"), s.released("release")
	s.dropNode(s.node)
	dropped := time.Now()
	s.goes(left)
	if took := time.Since(dropped); took < grace {
		s.Errorf("it went %v after its node, within the grace", took)
	}
	s.told(used, "in-use")
	s.stays(used)
}

// recreates holds that the replica starts anew, and the volume's data is safe at
// each moment.
func recreates(s *scene) {
	v := s.replica("recreate")
	s.dropNode(s.node)
	s.goes(v)
	s.eventually("the StatefulSet makes the claim anew", func() error {
		// The scheduler, which is not here, says on the pod that its claim is gone.
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "db-0"}}
		s.check(s.Patch(s.Context(), pod, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{"seen":"%d"}}}`, time.Now().UnixNano()))))
		var c corev1.PersistentVolumeClaim
		err := s.Get(s.Context(), types.NamespacedName{Namespace: s.namespace, Name: "data-db-0"}, &c)
		if err == nil && (c.UID == v.Spec.ClaimRef.UID || c.Spec.VolumeName != "") {
			return fmt.Errorf("it is the old one: %v", c)
		}
		return err
	})
}

// nodeMadeAgain deletes the Node and registers it again. Its plugin does not answer, so
// that its disks are not known: nothing is done.
func nodeMadeAgain(s *scene) {
	v := s.replica("recreate")
	s.dropNode(s.node)
	s.eventually("it is written down", func() error {
		s.check(s.Get(s.Context(), client.ObjectKeyFromObject(v), v))
		if v.Annotations[nodeloss.NodeLostSince] == "" {
			return errors.New("there is no annotation")
		}
		return nil
	})
	s.addNode(s.node)
	s.stays(v)
	s.check(s.Get(s.Context(), client.ObjectKeyFromObject(v), v))
	if v.Annotations[nodeloss.NodeLostSince] != "" || v.Annotations[nodeloss.DiskMissingSince] == "" {
		s.Errorf("the annotations are %v", v.Annotations)
	}
}

// tenAtOnce loses more nodes than a tenth, as if the database was restored from before
// they came.
func tenAtOnce(s *scene) {
	var all []*corev1.PersistentVolume
	for i := range 10 {
		name, node := fmt.Sprintf("c-%d", i), fmt.Sprintf("node-%s-%d", s.namespace, i)
		s.addNode(node)
		s.check(s.Create(s.Context(), newClaim(s.namespace, name)))
		all = append(all, s.makeVolume(name, node, "release"))
		s.check(s.Delete(s.Context(), newClaim(s.namespace, name)))
	}
	left := s.replica("recreate")
	for i := range 10 {
		s.dropNode(fmt.Sprintf("node-%s-%d", s.namespace, i))
	}
	s.dropNode(s.node)
	for _, v := range append(all, left) {
		s.told(v, "held-too-many-nodes")
	}
	s.stays(left)
	// A person's word is enough, for what it is about.
	s.giveUp(all[3])
	s.goes(all[3])
	s.stays(all[4])
}

func (s *scene) giveUp(v *corev1.PersistentVolume) {
	s.Helper()
	s.check(s.Patch(s.Context(), v, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"somebody, today"}}}`, pv.GiveUpAnnotation))))
}

// byHand gives up a volume whose Node object is there, and whose plugin is not.
func byHand(s *scene) {
	v := s.replica("recreate")
	s.stays(v)
	s.giveUp(v)
	s.goes(v)
}

func givesClaimBack(s *scene) {
	c := newClaim(s.namespace, "waits")
	c.Annotations = map[string]string{"volume.kubernetes.io/selected-node": s.node, "volume.kubernetes.io/storage-provisioner": driver}
	s.check(s.Create(s.Context(), c))
	s.dropNode(s.node)
	s.eventually("the scheduler is asked again", func() error {
		s.check(s.Get(s.Context(), client.ObjectKeyFromObject(c), c))
		if node := c.Annotations["volume.kubernetes.io/selected-node"]; node != "" || c.Annotations[nodeloss.NodeLostSince] != "" {
			return fmt.Errorf("the annotations are %v", c.Annotations)
		}
		return nil
	})
}

func cleansCapacity(s *scene) {
	make := func(name string, labels, topology map[string]string) *storagev1.CSIStorageCapacity {
		size := resource.MustParse("1Gi")
		c := &storagev1.CSIStorageCapacity{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: name, Labels: labels}, StorageClassName: class,
			NodeTopology: &metav1.LabelSelector{MatchLabels: topology}, Capacity: &size}
		s.check(s.Create(s.Context(), c))
		return c
	}
	ours := map[string]string{"csi.storage.k8s.io/drivername": driver}
	gone := make("gone", ours, map[string]string{driver + "/node": s.node})
	others := []client.Object{
		make("there", ours, map[string]string{driver + "/node": "other-0"}),
		make("template", nil, map[string]string{"cluster-autoscaler.kubernetes.io/template-node": "true"}),
		make("foreign", map[string]string{"csi.storage.k8s.io/drivername": "other"}, map[string]string{driver + "/node": s.node}),
	}
	s.dropNode(s.node)
	s.eventually("the node's capacity object goes", func() error {
		if err := s.Get(s.Context(), client.ObjectKeyFromObject(gone), gone); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there (%v)", err)
		}
		return nil
	})
	for _, o := range others {
		s.check(s.Get(s.Context(), client.ObjectKeyFromObject(o), o))
		s.check(s.Delete(s.Context(), o))
	}
}

func dryRun(s *scene) {
	used, left := s.replica("recreate"), s.released("release")
	s.dropNode(s.node)
	s.told(used, "dry-run")
	s.told(left, "dry-run")
	s.stays(used)
	s.stays(left)
}
