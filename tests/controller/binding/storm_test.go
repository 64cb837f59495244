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
	w.watchLost()
	const claims = 200
	ended := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() {
		for n := 0; ; n++ {
			c := &apiserver.Crash{}
			if n < 10 {
				c = &apiserver.Crash{At: 5 + 7*n, Fault: apiserver.Killed}
			}
			stop := w.startLoop(c)
			if n >= 10 {
				<-ended
				stop()
				return
			}
			select {
			case <-c.Killed():
			case <-ended:
			}
			stop()
		}
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

// TestBehindTheBinder shows why the loop asks the binder: the same writes without
// that, while the binder is busy with deleted claims, make a claim Lost.
func TestBehindTheBinder(t *testing.T) {
	w := start(t)
	w.StartControllerManager(t, binders...)
	for _, withLoop := range []bool{false, true} {
		t.Run(fmt.Sprintf("with the loop %t", withLoop), func(t *testing.T) {
			w := w.begin(t)
			if withLoop {
				w.startLoop(nil)
				w.watchLost()
			}
			var old []*corev1.PersistentVolumeClaim
			for i := range 60 {
				c := w.newClaim(fmt.Sprintf("old-%d", i))
				w.create(volumeFor(c))
				old = append(old, c)
			}
			for _, c := range old {
				w.await(func() string { return w.wrong(c, volumeFor(c).Name) })
			}
			parallel(len(old), func(i int) { w.must(w.Delete(context.Background(), old[i])) })
			c := w.newClaim("new")
			v := volumeFor(c)
			w.create(v)
			if !withLoop {
				w.bindByHand(v, c, 3)
				lost := false
				for end := time.Now().Add(10 * time.Second); !lost && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
					now := &corev1.PersistentVolumeClaim{}
					w.must(w.Get(context.Background(), client.ObjectKeyFromObject(c), now))
					lost = now.Status.Phase == corev1.ClaimLost
				}
				if !lost {
					t.Log("the claim was not Lost: the loop may have no need to ask any more")
				} else {
					t.Log("the claim was Lost")
				}
			}
			w.await(func() string { return w.wrong(c, v.Name) })
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
