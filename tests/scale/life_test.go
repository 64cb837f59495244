package scale

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// live takes a claim through its life, with a pod that uses it: both are made, the
// claim is bound, both are deleted, and the volume is gone. There is no kubelet.
func (w *world) live(name string) {
	w.Helper()
	one, hostdir := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}, class
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": "www"}},
		Spec:       corev1.PersistentVolumeClaimSpec{StorageClassName: &hostdir, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Resources: corev1.VolumeResourceRequirements{Requests: one}},
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "it", Image: "none", VolumeMounts: []corev1.VolumeMount{{Name: "www", MountPath: "/www"}}}},
			Volumes:    []corev1.Volume{{Name: "www", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}}},
		},
	}
	w.create(claim)
	w.create(pod)
	w.await("the pod "+name+" has no node", func(ctx context.Context) bool {
		w.must(w.Get(ctx, client.ObjectKeyFromObject(pod), pod))
		return pod.Spec.NodeName != ""
	})
	w.await("the claim "+name+" is not bound", func(ctx context.Context) bool {
		w.must(w.Get(ctx, client.ObjectKeyFromObject(claim), claim))
		return claim.Status.Phase == corev1.ClaimBound
	})
	time.Sleep(time.Second) // what follows a binding, such as new capacities
	w.must(w.Delete(w.Context(), pod, client.GracePeriodSeconds(0)))
	w.must(w.Delete(w.Context(), claim))
	volume := &corev1.PersistentVolume{}
	w.await("the volume of "+name+" is still there", func(ctx context.Context) bool {
		return apierrors.IsNotFound(w.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, volume))
	})
	time.Sleep(time.Second)
}

// A change is one of a claim or of its volume.
type change struct {
	kind   apiwatch.EventType
	object client.Object
}

// record returns all changes of claims and volumes that something causes, in their
// order.
func (w *world) record(something func()) []change {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	var all []change
	var mu sync.Mutex // guards all
	var done sync.WaitGroup
	for _, list := range []client.ObjectList{&corev1.PersistentVolumeClaimList{}, &corev1.PersistentVolumeList{}} {
		events, err := w.Watch(ctx, list)
		w.must(err)
		done.Go(func() {
			for e := range events.ResultChan() {
				if o, ok := e.Object.(client.Object); ok {
					mu.Lock()
					all = append(all, change{e.Type, o})
					mu.Unlock()
				}
			}
		})
	}
	something()
	cancel()
	done.Wait()
	slices.SortFunc(all, func(a, b change) int { return cmp.Compare(a.revision(), b.revision()) })
	return all
}

func (c change) revision() int64 {
	n, err := strconv.ParseInt(c.object.GetResourceVersion(), 10, 64)
	if err != nil {
		panic(err) // Kubernetes 1.35 and newer promise a number
	}
	return n
}

// another is the object as it would be for the i-th other claim.
func another(o client.Object, i int) client.Object {
	o = o.DeepCopyObject().(client.Object)
	uid := func(kind int) types.UID { return types.UID(fmt.Sprintf("%08d-0000-4000-8000-%012d", kind, i)) }
	name, claimUID := fmt.Sprintf("www-web-%d", i), uid(1)
	volume := "pvc-" + string(claimUID)
	switch o := o.(type) {
	case *corev1.PersistentVolumeClaim:
		o.Name, o.UID = name, claimUID
		if o.Spec.VolumeName != "" {
			o.Spec.VolumeName = volume
		}
	case *corev1.PersistentVolume:
		o.Name, o.UID = volume, uid(2)
		if o.Spec.ClaimRef != nil {
			o.Spec.ClaimRef.Name, o.Spec.ClaimRef.UID = name, claimUID
		}
	default:
		panic(fmt.Sprintf("no claim's %T", o))
	}
	return o
}

// bound returns claim and volume as they are while they are bound.
func bound(life []change) (claim, volume client.Object) {
	for _, c := range life {
		switch o := c.object.(type) {
		case *corev1.PersistentVolumeClaim:
			if o.Status.Phase == corev1.ClaimBound && o.DeletionTimestamp == nil {
				claim = o
			}
		case *corev1.PersistentVolume:
			if o.Status.Phase == corev1.VolumeBound {
				volume = o
			}
		}
	}
	return claim, volume
}
