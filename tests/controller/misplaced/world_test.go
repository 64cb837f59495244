package misplaced

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/hostdir/hostdir/pkg/controller/misplaced"
	"github.com/hostdir/hostdir/pkg/controller/pv"
	"github.com/hostdir/hostdir/tests/apiserver"
)

const (
	driver   = "csi.hostdir.io"
	release  = "hostdir-system" // the namespace of the release
	class    = "hostdir"
	patience = 60 * time.Second
)

var nodes = []string{"node-a", "node-b"}

// world is a cluster of two nodes that run nothing, and a namespace of it.
type world struct {
	*testing.T
	*apiserver.Server
	client.Client
	controller *apiserver.Server // as hostdir-controller sees it
	namespace  string
}

func start(t *testing.T) *world {
	s := apiserver.Start(t)
	s.Config.QPS = -1
	c, err := client.New(s.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, Server: s, Client: c}
	w.controller = s.AsController(t, w, release, "../../../deploy/kubernetes/hostdir.yaml")
	mode := storagev1.VolumeBindingWaitForFirstConsumer
	w.create(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: driver, VolumeBindingMode: &mode})
	for _, name := range nodes {
		apiserver.AddNode(t, w, driver, name)
	}
	s.StartControllerManager(t, "persistentvolume-binder-controller", "statefulset-controller")
	s.StartScheduler(t)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go apiserver.EndPods(ctx, w)
	return w
}

// startLoop runs the loop with the rights of hostdir-controller.
func (w *world) startLoop(c *apiserver.Crash) (stop func()) {
	return w.controller.RunManager(w.T, c, func(m manager.Manager, _ *apiserver.Crash) error {
		return misplaced.Add(m, driver, misplaced.Options{Evict: true})
	})
}

// begin is the world in a namespace of its own.
func (w *world) begin(t *testing.T) *world {
	o := *w
	o.T = t
	n := &corev1.Namespace{}
	n.GenerateName = "test-"
	o.create(n)
	o.namespace = n.Name
	return &o
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) create(o client.Object) {
	w.Helper()
	w.must(w.Create(context.Background(), o))
}

func (w *world) get(name string, o client.Object) error {
	return w.Get(context.Background(), types.NamespacedName{Namespace: w.namespace, Name: name}, o)
}

func (w *world) eventually(what string, met func() error) {
	w.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := met()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("waited in vain until %s: %v", what, err)
		}
	}
}

var size = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}

// reserve makes a volume on a node for a claim that is not there yet.
func (w *world) reserve(claim, node string, change ...func(*corev1.PersistentVolume)) {
	w.Helper()
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace + "-" + claim},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain, StorageClassName: class,
			ClaimRef:               &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: w.namespace, Name: claim},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: w.namespace + claim}},
			NodeAffinity:           pv.Affinity(map[string]string{driver + "/node": node}),
		},
	}
	for _, f := range change {
		f(v)
	}
	w.create(v)
}

func newClaim(namespace, name string) *corev1.PersistentVolumeClaim {
	class := class
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}
}

// bound makes a volume on node-a, and the claim "data" that is bound to it.
func (w *world) bound(change ...func(*corev1.PersistentVolume)) {
	w.Helper()
	w.reserve("data", "node-a", change...)
	w.create(newClaim(w.namespace, "data"))
	w.eventually("the claim is bound", func() error {
		c := &corev1.PersistentVolumeClaim{}
		if err := w.get("data", c); err != nil {
			return err
		}
		if c.Status.Phase != corev1.ClaimBound {
			return fmt.Errorf("it is %s", c.Status.Phase)
		}
		return nil
	})
}

// newPod is a pod on node-b that uses the claim "data", and is a StatefulSet's.
func newPod(namespace, name string, change ...func(*corev1.Pod)) *corev1.Pod {
	yes := true
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db", UID: "of-no-set", Controller: &yes}}},
		Spec: podSpec("data"),
	}
	p.Spec.NodeName = "node-b"
	for _, f := range change {
		f(p)
	}
	return p
}

func podSpec(claim string) corev1.PodSpec {
	return corev1.PodSpec{
		Containers: []corev1.Container{{Name: "main", Image: "none"}},
		Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}},
	}
}

// events returns what was told of the pods of the namespace.
func (w *world) events() (all []string) {
	w.Helper()
	var events corev1.EventList
	w.must(w.List(context.Background(), &events, client.InNamespace(w.namespace)))
	for _, e := range events.Items {
		if e.Source.Component == "hostdir-controller" || e.ReportingController == "hostdir-controller" {
			all = append(all, fmt.Sprintf("%s %s of %s: %s", e.Type, e.Reason, e.InvolvedObject.Name, e.Message))
		}
	}
	return all
}
