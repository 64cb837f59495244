package binding

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

// binder knows which volumes kube-controller-manager's binder has seen.
//
// The binder has one queue for volumes and one for claims, and a worker for each; a
// worker that has to write waits until it may. When it comes to a claim that is bound
// to a volume which its other worker has not come to yet, it takes the volume for
// gone, sets the claim's phase to Lost and tells of it in a Warning: and the worker of
// volumes is seconds behind whenever many claims were just deleted.
//
// So it is asked: a volume that nobody can use, the probe, is made for no claim. The
// binder sets its phase to Available when it comes to it in its queue; then it has
// seen whatever was created before. One probe is enough for all volumes that wait.
type binder struct {
	writer
	cached client.Reader
	// released are volumes that waited, and are to be looked at again.
	released chan event.GenericEvent
	wanted   chan struct{}
	answers  chan string

	mu      sync.Mutex // guards what is below
	seen    uint64     // the resource version up to which all volumes are known to the binder
	waiting map[string]*corev1.PersistentVolume
}

func newBinder(w writer, cached client.Reader) *binder {
	return &binder{
		writer: w, cached: cached,
		released: make(chan event.GenericEvent),
		wanted:   make(chan struct{}, 1),
		answers:  make(chan string, 100),
		waiting:  map[string]*corev1.PersistentVolume{},
	}
}

// hasSeen reports whether the binder is known to have seen the volume.
func (b *binder) hasSeen(v *corev1.PersistentVolume) bool {
	version, err := strconv.ParseUint(v.ResourceVersion, 10, 64)
	b.mu.Lock()
	defer b.mu.Unlock()
	return err == nil && version < b.seen
}

// await has the volume released when the binder has seen it.
func (b *binder) await(v *corev1.PersistentVolume) {
	b.mu.Lock()
	b.waiting[v.Name] = v
	b.mu.Unlock()
	select {
	case b.wanted <- struct{}{}:
	default:
	}
}

// look finds the binder's answer to a probe.
func (b *binder) look(v *corev1.PersistentVolume) {
	if !isProbe(v) || v.Status.Phase != corev1.VolumeAvailable {
		return
	}
	select {
	case b.answers <- v.Name:
	default: // nobody waits: they are of another program
	}
}

// tooLong is when the binder is given up: it does not run, or is so far behind that
// it matters little who binds.
const tooLong = time.Minute

// Start sends probes while there are volumes that wait.
func (b *binder) Start(ctx context.Context) error {
	again := time.NewTicker(10 * time.Second)
	defer again.Stop()
	left := true // a former program may have left probes
	for {
		if left {
			left = !b.sweep(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			continue
		case <-b.answers: // of a probe that was given up
			continue
		case <-b.wanted:
		}
		probe := newProbe(b.driver)
		if err := b.send(ctx, probe); err != nil {
			// The binder does alone what waited here.
			klog.FromContext(ctx).V(2).Info("not known whether kube-controller-manager has seen the new volumes: left to it", "reason", err.Error())
			b.take()
		} else {
			b.release(ctx)
		}
		left = !b.remove(ctx, probe)
	}
}

// release has all that waited looked at again.
func (b *binder) release(ctx context.Context) {
	for _, v := range b.take() {
		select {
		case b.released <- event.GenericEvent{Object: v}:
		case <-ctx.Done():
			return
		}
	}
}

// take empties waiting.
func (b *binder) take() map[string]*corev1.PersistentVolume {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.waiting
	b.waiting = map[string]*corev1.PersistentVolume{}
	return taken
}

// send makes a probe and waits until the binder has seen it.
func (b *binder) send(ctx context.Context, probe *corev1.PersistentVolume) error {
	if err := b.limit.Wait(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := b.client.Create(ctx, probe); err != nil {
		return err
	}
	version, err := strconv.ParseUint(probe.ResourceVersion, 10, 64)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tooLong)
	defer cancel()
	for {
		select {
		case name := <-b.answers:
			if name != probe.Name {
				continue
			}
			binderLag.Observe(time.Since(began).Seconds())
			b.mu.Lock()
			defer b.mu.Unlock()
			b.seen = version
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// remove deletes a probe, also when the program ends, and reports whether it could.
func (b *binder) remove(ctx context.Context, probe *corev1.PersistentVolume) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	err := client.IgnoreNotFound(b.client.Delete(ctx, probe))
	if err != nil {
		klog.FromContext(ctx).Info("a probe stays for now", "volume", probe.Name, "reason", err.Error())
	}
	return err == nil
}

// sweep deletes probes that were left, and reports whether it could.
func (b *binder) sweep(ctx context.Context) bool {
	var probes corev1.PersistentVolumeList
	if err := b.cached.List(ctx, &probes, client.MatchingLabels{probeLabel: b.driver}); err != nil {
		return false
	}
	done := true
	for _, p := range probes.Items {
		if isProbe(&p) && p.DeletionTimestamp == nil {
			done = b.remove(ctx, &p) && done
		}
	}
	return done
}

const (
	probeLabel = "csi.hostdir.io/binder-probe"
	// probeDriver is a CSI driver that there is not: nobody mounts or deletes a probe.
	probeDriver = "binder-probe.csi.hostdir.io"
)

func isProbe(v *corev1.PersistentVolume) bool {
	_, labelled := v.Labels[probeLabel]
	return labelled && v.Spec.CSI != nil && v.Spec.CSI.Driver == probeDriver
}

// newProbe returns a volume for a claim that nobody will make, so that no other gets
// it. Its name is new each time: one that the binder has in its queue already would
// be answered out of turn.
func newProbe(driver string) *corev1.PersistentVolume {
	name := "hostdir-binder-probe-" + uuid.NewString()
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{probeLabel: driver}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			StorageClassName:              name,
			ClaimRef:                      &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: name, Name: name},
			PersistentVolumeSource:        corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: probeDriver, VolumeHandle: name}},
		},
	}
}
