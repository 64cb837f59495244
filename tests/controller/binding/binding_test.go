package binding

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/hostdir/hostdir/pkg/controller/binding"
	"github.com/hostdir/hostdir/tests/apiserver"
)

const (
	driver = "csi.hostdir.io"
	class  = "hostdir"
	// patience is how long the binder may take, which looks at all every 15 s.
	patience = 90 * time.Second
)

// binders are the controllers of kube-controller-manager that claims and volumes need.
var binders = []string{"persistentvolume-binder-controller", "persistentvolumeclaim-protection-controller", "persistentvolume-protection-controller"}

// world is an API server with a class like hostdir's.
type world struct {
	*testing.T
	*apiserver.Server
	client.WithWatch
	namespace string
}

func start(t *testing.T) *world {
	s := apiserver.Start(t)
	config := rest.CopyConfig(s.Config)
	config.QPS = -1
	c, err := client.NewWithWatch(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, Server: s, WithWatch: c}
	mode, policy := storagev1.VolumeBindingWaitForFirstConsumer, corev1.PersistentVolumeReclaimDelete
	w.create(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: driver, VolumeBindingMode: &mode, ReclaimPolicy: &policy})
	return w
}

// begin is the world in a namespace of its own, whose volumes and claims are cleared
// away when the test ends.
func (w *world) begin(t *testing.T) *world {
	o := *w
	o.T = t
	n := &corev1.Namespace{}
	n.GenerateName = "test-"
	o.create(n)
	o.namespace = n.Name
	t.Cleanup(o.clear)
	return &o
}

func (w *world) clear() {
	for _, v := range w.volumes() {
		w.takeFinalizers(&v)
		w.must(client.IgnoreNotFound(w.Delete(context.Background(), &v)))
	}
	for _, c := range w.claims() {
		w.takeFinalizers(&c)
		w.must(client.IgnoreNotFound(w.Delete(context.Background(), &c)))
	}
}

func (w *world) takeFinalizers(o client.Object) {
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	w.must(client.IgnoreNotFound(w.Patch(context.Background(), o, patch)))
}

// startLoop runs the loop until the test ends or it is stopped.
func (w *world) startLoop(c *apiserver.Crash) (stop func()) {
	return w.RunManager(w.T, c, func(m manager.Manager, c *apiserver.Crash) error {
		return binding.Add(m, driver, binding.Options{Enabled: true, QPS: 100, NewClient: c.NewClient})
	})
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

// newClaim makes a claim as it is when the provisioner takes it up: its pod was given
// a node.
func (w *world) newClaim(name string, change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	w.Helper()
	one := class
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name, Annotations: map[string]string{"volume.kubernetes.io/selected-node": "node"}},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &one, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
	for _, change := range change {
		change(c)
	}
	w.create(c)
	return c
}

// volumeFor is what the provisioner makes for a claim.
func volumeFor(c *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + string(c.UID), Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": driver}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			StorageClassName:              class,
			ClaimRef:                      &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: c.Namespace, Name: c.Name, UID: c.UID},
			PersistentVolumeSource:        corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: "v-" + string(c.UID)}},
		},
	}
}

func (w *world) volumes() []corev1.PersistentVolume {
	var all corev1.PersistentVolumeList
	w.must(w.List(context.Background(), &all))
	return all.Items
}

func (w *world) claims() []corev1.PersistentVolumeClaim {
	var all corev1.PersistentVolumeClaimList
	w.must(w.List(context.Background(), &all, client.InNamespace(w.namespace)))
	return all.Items
}

// await waits until a condition holds; what tells what is missing, "" if nothing is.
func (w *world) await(what func() string) {
	w.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		missing := what()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("after %s: %s", patience, missing)
		}
	}
}

// wrong returns what keeps a claim from being bound rightly to a volume.
func (w *world) wrong(c *corev1.PersistentVolumeClaim, volume string) string {
	now, v := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	if err := w.Get(context.Background(), client.ObjectKeyFromObject(c), now); err != nil {
		return err.Error()
	}
	if err := w.Get(context.Background(), client.ObjectKey{Name: volume}, v); err != nil {
		return err.Error()
	}
	_, completed := now.Annotations["pv.kubernetes.io/bind-completed"]
	capacity := now.Status.Capacity[corev1.ResourceStorage]
	switch {
	case now.UID != c.UID:
		return "the claim is another"
	case now.Spec.VolumeName != volume || !completed || now.Annotations["pv.kubernetes.io/bound-by-controller"] != "yes":
		return fmt.Sprintf("the claim %s is bound to %q: %v", c.Name, now.Spec.VolumeName, now.Annotations)
	case now.Status.Phase != corev1.ClaimBound || capacity.String() != "1Gi" || len(now.Status.AccessModes) != 1:
		return fmt.Sprintf("the claim %s has the status %v", c.Name, now.Status)
	case v.Status.Phase != corev1.VolumeBound || v.Spec.ClaimRef.UID != c.UID:
		return fmt.Sprintf("the volume is %s, of %v", v.Status.Phase, v.Spec.ClaimRef)
	}
	return ""
}

// lost watches for claims that are Lost, be it for a moment, and returns who ends that
// and names them.
func (w *world) lost() func() []string {
	events, err := w.Watch(context.Background(), &corev1.PersistentVolumeClaimList{}, client.InNamespace(w.namespace))
	w.must(err)
	names, ended := map[string]bool{}, make(chan struct{})
	go func() {
		defer close(ended)
		for e := range events.ResultChan() {
			// The last is an error that says that the watch was stopped.
			if c, ok := e.Object.(*corev1.PersistentVolumeClaim); ok && c.Status.Phase == corev1.ClaimLost {
				names[c.Name] = true
			}
		}
	}()
	return func() []string {
		events.Stop()
		<-ended
		return slices.Sorted(maps.Keys(names))
	}
}

// noProbes waits until there are none.
func (w *world) noProbes() {
	w.Helper()
	w.await(func() string {
		for _, v := range w.volumes() {
			if isProbe(&v) {
				return v.Name + " stays"
			}
		}
		return ""
	})
}

// probes is how the names of probes begin.
const probes = "hostdir-binder-probe-"

func isProbe(v *corev1.PersistentVolume) bool { return strings.HasPrefix(v.Name, probes) }

func isGone(err error) bool { return apierrors.IsNotFound(err) }

func quantile(of []time.Duration, q float64) time.Duration {
	slices.Sort(of)
	return of[int(q*float64(len(of)-1))].Round(time.Millisecond)
}
