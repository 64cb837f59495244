package binding

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hostdir/hostdir/tests/apiserver"
)

// TestStorm has 200 claims created, deleted and created again at once, while the loop
// is killed again and again, each time at another of its writes.
func TestStorm(t *testing.T) {
	w := start(t)
	w.StartControllerManager(t, binders...)
	w = w.begin(t)
	lost := w.lost()
	const claims = 200
	ended := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() {
		for n := range 10 {
			c := &apiserver.Crash{At: 3 + 3*n, Fault: apiserver.Killed}
			stop := w.startLoop(c)
			select {
			case <-c.Killed():
			case <-ended:
				t.Errorf("it was killed %d times only", n)
			}
			stop()
		}
		stop := w.startLoop(nil)
		<-ended
		stop()
	})
	provision := func(name string) *corev1.PersistentVolumeClaim {
		c := w.newClaim(name)
		w.create(volumeFor(c))
		return c
	}
	made := make([]*corev1.PersistentVolumeClaim, claims)
	parallel(claims, func(i int) { made[i] = provision(fmt.Sprintf("c-%d", i)) })
	time.Sleep(2 * time.Second)
	parallel(claims, func(i int) {
		w.must(w.Delete(context.Background(), made[i]))
		w.await(func() string {
			if err := w.Get(context.Background(), client.ObjectKeyFromObject(made[i]), &corev1.PersistentVolumeClaim{}); !isGone(err) {
				return "the claim stays"
			}
			return ""
		})
		made[i] = provision(made[i].Name)
	})
	for _, c := range made {
		w.await(func() string { return w.wrong(c, volumeFor(c).Name) })
	}
	close(ended)
	killer.Wait()
	owners := map[string]bool{}
	for _, c := range w.claims() {
		if owners[c.Spec.VolumeName] {
			t.Errorf("%s is bound twice", c.Spec.VolumeName)
		}
		owners[c.Spec.VolumeName] = true
	}
	if len(owners) != claims {
		t.Errorf("%d claims have a volume", len(owners))
	}
	if names := lost(); len(names) > 0 {
		t.Errorf("these claims were Lost: %q", names)
	}
	w.noProbes()
}

func parallel(n int, do func(i int)) {
	var all sync.WaitGroup
	limit := make(chan struct{}, 50)
	for i := range n {
		all.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			do(i)
		})
	}
	all.Wait()
}

// TestBehindTheBinder shows that the loop waits for the binder. The same writes without
// that, while the binder is busy with deleted claims, make claims Lost: mostly all of
// them, but that depends on which of the binder's workers is the faster.
func TestBehindTheBinder(t *testing.T) {
	const deleted, made = 100, 20
	w := start(t)
	w.StartControllerManager(t, binders...)
	for _, withLoop := range []bool{false, true} {
		t.Run(fmt.Sprintf("with the loop %t", withLoop), func(t *testing.T) {
			w := w.begin(t)
			lost := w.lost()
			if withLoop {
				w.startLoop(nil)
			}
			old := make([]*corev1.PersistentVolumeClaim, deleted)
			parallel(deleted, func(i int) {
				old[i] = w.newClaim(fmt.Sprintf("old-%d", i))
				w.create(volumeFor(old[i]))
			})
			for _, c := range old {
				w.await(func() string { return w.wrong(c, volumeFor(c).Name) })
			}
			parallel(deleted, func(i int) {
				w.takeFinalizers(old[i])
				w.must(w.Delete(context.Background(), old[i]))
			})
			var claims []*corev1.PersistentVolumeClaim
			for i := range made {
				c := w.newClaim(fmt.Sprintf("new-%d", i))
				v := volumeFor(c)
				w.create(v)
				if !withLoop {
					w.bindByHand(v, c, 3)
				}
				claims = append(claims, c)
				time.Sleep(50 * time.Millisecond)
			}
			for _, c := range claims {
				w.await(func() string { return w.wrong(c, volumeFor(c).Name) })
			}
			n := len(lost())
			t.Logf("%d of %d claims were Lost", n, made)
			if withLoop && n > 0 {
				t.Error("the loop bound a claim that the binder was not ready for")
			}
		})
	}
}

// bindByHand makes the first so many of the three writes.
func (w *world) bindByHand(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim, writes int) {
	w.Helper()
	ctx := context.Background()
	for n := range writes {
		switch n {
		case 0:
			p := client.MergeFrom(v.DeepCopy())
			v.Status.Phase = corev1.VolumeBound
			w.must(w.Status().Patch(ctx, v, p))
		case 1:
			p := client.MergeFrom(c.DeepCopy())
			c.Spec.VolumeName = v.Name
			c.Annotations["pv.kubernetes.io/bind-completed"] = "yes"
			c.Annotations["pv.kubernetes.io/bound-by-controller"] = "yes"
			w.must(w.Patch(ctx, c, p))
		case 2:
			p := client.MergeFrom(c.DeepCopy())
			c.Status.Phase, c.Status.Capacity, c.Status.AccessModes = corev1.ClaimBound, v.Spec.Capacity, v.Spec.AccessModes
			w.must(w.Status().Patch(ctx, c, p))
		}
	}
}
