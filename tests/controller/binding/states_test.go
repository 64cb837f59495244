package binding

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hostdir/hostdir/tests/apiserver"
)

// TestBinderGoesOn shows that kube-controller-manager alone ends right after each of
// the writes.
func TestBinderGoesOn(t *testing.T) {
	w := start(t)
	for writes := range 4 {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("after %d writes, the binder starts before %t", writes, before), func(t *testing.T) {
				w := w.begin(t)
				lost := w.lost()
				c := w.newClaim("c")
				v := volumeFor(c)
				if before {
					// Nothing is to be done for it: the binder waits until it sees the volume.
					w.StartControllerManager(t, binders...)
					other := w.newClaim("other")
					w.create(volumeFor(other))
					w.await(func() string { return w.wrong(other, volumeFor(other).Name) })
				}
				w.create(v)
				if before {
					time.Sleep(10 * time.Millisecond)
					w.must(w.Get(context.Background(), client.ObjectKeyFromObject(v), v))
				}
				w.bindByHand(v, c, writes)
				if !before {
					w.StartControllerManager(t, binders...)
				}
				w.await(func() string { return w.wrong(c, v.Name) })
				if names := lost(); len(names) > 0 {
					t.Errorf("Lost were %q", names)
				}
			})
		}
	}
}

// TestCrash has the loop fail or die at each of its writes.
func TestCrash(t *testing.T) {
	w := start(t)
	stop := w.StartControllerManager(t, binders...)
	defer stop()
	for _, fault := range apiserver.Faults {
		// The first is the probe's; then come those of the bindings, and its deletion.
		for n := 1; n <= 6; n++ {
			t.Run(fmt.Sprintf("write %d is %s", n, fault), func(t *testing.T) {
				w := w.begin(t)
				lost := w.lost()
				crash := &apiserver.Crash{At: n, Fault: fault}
				w.startLoop(crash)
				const claims = 20 // more than the binder does before the loop has its turn
				made := make([]*corev1.PersistentVolumeClaim, claims)
				parallel(claims, func(i int) {
					made[i] = w.newClaim(fmt.Sprintf("c-%d", i))
					w.create(volumeFor(made[i]))
				})
				for _, c := range made {
					w.await(func() string { return w.wrong(c, volumeFor(c).Name) })
				}
				if names := lost(); len(names) > 0 {
					t.Errorf("Lost were %q", names)
				}
				t.Logf("%t: %d writes", crash.Happened(), len(crash.Writes()))
				w.noProbes()
			})
		}
	}
}

// TestLeftAlone is of claims and volumes that are not the loop's to bind.
func TestLeftAlone(t *testing.T) {
	w := start(t)
	for _, test := range []struct {
		name string
		// arrange changes what the provisioner would make for the claim, or what is
		// there beside it, before the volume appears.
		arrange func(*world, *corev1.PersistentVolumeClaim, *corev1.PersistentVolume)
	}{
		{"another driver", func(_ *world, _ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) {
			v.Spec.CSI.Driver, v.Annotations["pv.kubernetes.io/provisioned-by"] = "other", "other"
		}},
		{"made by a person", func(_ *world, _ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) { v.Annotations = nil }},
		{"made for a name without UID", func(_ *world, _ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) {
			v.Spec.ClaimRef.UID = ""
		}},
		{"made for nobody", func(_ *world, _ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) { v.Spec.ClaimRef = nil }},
		{"another claim of that name", func(_ *world, _ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) {
			v.Spec.ClaimRef.UID = types.UID("11111111-1111-1111-1111-111111111111")
		}},
		{"the claim is deleted", func(w *world, c *corev1.PersistentVolumeClaim, _ *corev1.PersistentVolume) {
			w.must(w.Delete(context.Background(), c)) // its finalizer holds it
		}},
		{"the claim is gone", func(w *world, c *corev1.PersistentVolumeClaim, _ *corev1.PersistentVolume) {
			w.takeFinalizers(c)
			w.must(w.Delete(context.Background(), c))
		}},
		{"the claim was bound to another volume", func(w *world, c *corev1.PersistentVolumeClaim, _ *corev1.PersistentVolume) {
			p := client.MergeFrom(c.DeepCopy())
			c.Spec.VolumeName = "another"
			w.must(w.Patch(context.Background(), c, p))
		}},
		{"another volume waits for that name", func(w *world, c *corev1.PersistentVolumeClaim, _ *corev1.PersistentVolume) {
			v := volumeFor(c)
			v.Name, v.Spec.ClaimRef.UID = "by-a-person-"+c.Namespace, ""
			w.create(v)
		}},
		{"the claim asks for more", func(_ *world, _ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) {
			v.Spec.Capacity[corev1.ResourceStorage] = resource.MustParse("1Mi")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := w.begin(t)
			c := w.newClaim("c")
			v := volumeFor(c)
			test.arrange(w, c, v)
			w.create(v)
			w.leftAlone()
		})
	}
	t.Run("the volume is deleted", func(t *testing.T) {
		w := w.begin(t)
		c := w.newClaim("c")
		v := volumeFor(c)
		v.Finalizers = []string{"external-provisioner.volume.kubernetes.io/finalizer"}
		w.create(v)
		w.must(w.Delete(context.Background(), v))
		w.leftAlone()
	})
}

// leftAlone starts the loop and shows that it has bound one claim, and written nothing
// else. The test plays the binder, as far as it is asked.
func (w *world) leftAlone() {
	w.Helper()
	crash := &apiserver.Crash{}
	stop := w.startLoop(crash)
	c := w.newClaim("to-be-bound")
	v := volumeFor(c)
	w.create(v)
	w.await(func() string {
		for _, p := range w.volumes() {
			if isProbe(&p) && p.Status.Phase == corev1.VolumePending {
				patch := client.MergeFrom(p.DeepCopy())
				p.Status.Phase = corev1.VolumeAvailable
				w.must(client.IgnoreNotFound(w.Status().Patch(context.Background(), &p, patch)))
			}
		}
		return w.wrong(c, v.Name)
	})
	stop()
	for _, write := range crash.Writes() {
		if !strings.Contains(write, probes) && !strings.Contains(write, v.Name) && !strings.Contains(write, c.Name) {
			w.Errorf("the loop wrote: %s", write)
		}
	}
}

// TestMadeAgain has claims deleted while they are bound, and made again under their
// names.
func TestMadeAgain(t *testing.T) {
	w := start(t)
	w.StartControllerManager(t, binders...)
	w = w.begin(t)
	w.startLoop(nil)
	lost := w.lost()
	const claims, rounds = 20, 5
	parallel(claims, func(i int) {
		name := fmt.Sprintf("c-%d", i)
		for round := range rounds {
			c := w.newClaim(name)
			w.create(volumeFor(c))
			if round == rounds-1 {
				w.await(func() string { return w.wrong(c, volumeFor(c).Name) })
				return
			}
			time.Sleep(time.Duration(i) * 15 * time.Millisecond) // each at another moment of its binding
			w.takeFinalizers(c)
			w.must(w.Delete(context.Background(), c))
			w.await(func() string {
				if err := w.Get(context.Background(), client.ObjectKeyFromObject(c), &corev1.PersistentVolumeClaim{}); !isGone(err) {
					return "the claim stays"
				}
				return ""
			})
		}
	})
	if names := lost(); len(names) > 0 {
		t.Errorf("Lost were %q", names)
	}
	w.await(func() string { // those of the claims of old
		for _, v := range w.volumes() {
			if v.Status.Phase != corev1.VolumeBound && v.Status.Phase != corev1.VolumeReleased {
				return v.Name + " is " + string(v.Status.Phase)
			}
		}
		return ""
	})
}

// TestTimes logs how long claims wait, with and without the loop. It asserts nothing
// of that: machines differ.
func TestTimes(t *testing.T) {
	for _, withLoop := range []bool{false, true} {
		t.Run(fmt.Sprintf("with the loop %t", withLoop), func(t *testing.T) {
			w := start(t)
			w.StartControllerManager(t, binders...)
			w = w.begin(t)
			if withLoop {
				w.startLoop(nil)
			}
			for _, claims := range []int{1, 10, 30, 60} {
				took := make([]time.Duration, claims)
				parallel(claims, func(i int) {
					c := w.newClaim(fmt.Sprintf("c-%d-%d", claims, i))
					w.create(volumeFor(c))
					began := time.Now()
					w.await(func() string { return w.wrong(c, volumeFor(c).Name) })
					took[i] = time.Since(began)
				})
				t.Logf("%d claims at once: p50 %s, the last %s", claims, quantile(took, 0.5), quantile(took, 1))
				time.Sleep(5 * time.Second) // the binder may send 30 requests at once again
			}
		})
	}
}
