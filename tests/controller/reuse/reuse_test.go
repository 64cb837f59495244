package reuse

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/tests/apiserver"
)

func TestReuse(t *testing.T) {
	c := start(t)
	t.Run("sequences", func(t *testing.T) {
		c.run(t, nil)
		for name, test := range sequences {
			t.Run(name, func(t *testing.T) { test(c.tenant(t, name)) })
		}
	})
	t.Run("without the loop", func(t *testing.T) {
		for name, test := range absences {
			t.Run(name, func(t *testing.T) { test(c.tenant(t, name)) })
		}
	})
	t.Run("killed", func(t *testing.T) {
		for name, test := range deaths {
			c.crashAtEach(t, name, apiserver.Killed, test)
		}
		for _, fault := range []apiserver.Fault{apiserver.Refused, apiserver.Lost} {
			c.crashAtEach(t, "claim", fault, deaths["claim"])
		}
	})
}

// crashAtEach repeats a sequence with a fault at the loop's first write, its second, and
// so on, until it needs no more.
func (c *cluster) crashAtEach(t *testing.T, name string, fault apiserver.Fault, test func(*tenant)) {
	for n := 1; ; n++ {
		crash := &apiserver.Crash{At: n, Fault: fault}
		ran := false
		passed := t.Run(fmt.Sprintf("%s/write %d is %s", name, n, fault), func(t *testing.T) {
			ran = true
			c.run(t, crash)
			test(c.tenant(t, fmt.Sprintf("%s-%d-%s", name, n, fault)))
		})
		if passed && crash.Happened() {
			continue
		}
		if ran && passed && n < 5 {
			t.Errorf("%s: there were these writes only: %q", name, crash.Writes())
		}
		return
	}
}

// sequences are what people do while the loop runs.
var sequences = map[string]func(*tenant){
	"rounds":            func(t *tenant) { sameVolume(t, 3) },
	"at-once":           atOnce,
	"larger":            largerRequest,
	"rid":               deletedForGood,
	"namespace-anew":    namespaceAnew,
	"set":               retentionPolicies,
	"written-by-tenant": tenantWritesVolume,
	"two-volumes":       twoVolumes,
}

// absences are what happens while the loop does not run.
var absences = map[string]func(*tenant){
	"refused":          refusedWithoutLoop,
	"unseen":           unseenClaim,
	"unseen-namespace": unseenNamespace,
	"let-go":           letGo,
	"unguarded":        unguarded,
	"late-binder":      lateBinder,
}

// deaths are what people do while the loop is killed and started anew.
var deaths = map[string]func(*tenant){
	"claim":       func(t *tenant) { sameVolume(t, 1) },
	"namespace":   namespaceAnew,
	"two-volumes": twoVolumes,
}

// sameVolume deletes a claim and makes it again: it gets its volume.
func sameVolume(t *tenant, rounds int) {
	t.makeClaim("data")
	t.makePod("data")
	first := t.held("data")
	handle := first.Spec.CSI.VolumeHandle
	for range rounds {
		t.deletePods()
		t.deleteClaim("data")
		t.claimGoes("data")
		twin := t.settles(handle, corev1.VolumeAvailable)
		if twin.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain || twin.Annotations["pv.kubernetes.io/provisioned-by"] != driver {
			t.Errorf("the twin is %v", twin)
		}
		t.makeClaim("data")
		t.makePod("data")
		if v := t.held("data"); v.Spec.CSI.VolumeHandle != handle {
			t.Fatalf("the claim got %s, it had %s", say(v), handle)
		}
		t.settles(handle, corev1.VolumeBound)
	}
}

// atOnce makes the claim again as soon as the name is free.
func atOnce(t *tenant) {
	t.makeClaim("data")
	t.makePod("data")
	handle := t.held("data").Spec.CSI.VolumeHandle
	for range 20 {
		t.deletePods()
		t.deleteClaim("data")
		t.eventually("the claim is made again", func() error { return t.Create(t.Context(), newClaim(t.namespace, "data")) })
		t.makePod("data")
		if v := t.held("data"); v.Spec.CSI.VolumeHandle != handle {
			t.Fatalf("the claim got %s, it had %s", say(v), handle)
		}
	}
}

// largerRequest makes the claim again for more than it had.
func largerRequest(t *tenant) {
	t.makeClaim("data")
	t.makePod("data")
	handle := t.held("data").Spec.CSI.VolumeHandle
	t.deletePods()
	t.deleteClaim("data")
	t.claimGoes("data")
	kept := t.settles(handle, corev1.VolumeAvailable)
	t.makeClaim("data", asking("2Gi"))
	claim, err := t.claim("data")
	t.check(err)
	t.told(claim, "ReuseMismatch", "the claim asks for 2Gi, the volume has 1Gi")

	// With a pod it gets a new one, and is told how to go back.
	t.makePod("data")
	other := t.held("data")
	if other.Spec.CSI.VolumeHandle == handle {
		t.Fatalf("it got %s", say(other))
	}
	t.told(claim, "ReuseMismatch", "annotate pvc data csi.hostdir.io/reuse-volume="+kept.Name)
	claim, err = t.claim("data")
	t.check(err)
	claim.Annotations["csi.hostdir.io/reuse-volume"] = kept.Name
	t.check(t.Update(t.Context(), claim))
	t.deletePods()
	t.deleteClaim("data")
	t.claimGoes("data")
	t.settles(other.Spec.CSI.VolumeHandle, corev1.VolumeReleased)
	t.makeClaim("data")
	if v := t.held("data"); v.Spec.CSI.VolumeHandle != handle {
		t.Fatalf("the claim got %s, the annotation says %s", say(v), kept.Name)
	}
	t.told(other, "ReuseSuperseded", "keeps its data, but is not reserved")
}

// deletedForGood is what a person does who wants to be rid of the data.
func deletedForGood(t *tenant) {
	t.makeClaim("data")
	t.makePod("data")
	handle := t.held("data").Spec.CSI.VolumeHandle
	t.deletePods()
	t.deleteClaim("data")
	t.claimGoes("data")
	kept := t.settles(handle, corev1.VolumeAvailable)
	kept.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
	t.check(t.Update(t.Context(), kept))
	// csi-provisioner deletes what is Released. Kubernetes' binder says Failed,
	// where it knows no plugin... and Released where a provisioner is to do it.
	t.settles(handle, corev1.VolumeReleased)
}

// namespaceAnew deletes the namespace, with a claim that is bound and one that is gone,
// and makes it again: nothing of the old one is in it.
func namespaceAnew(t *tenant) {
	for _, name := range []string{"bound", "gone"} {
		t.makeClaim(name)
		t.makePod(name)
	}
	old := map[string]string{"bound": t.held("bound").Spec.CSI.VolumeHandle, "gone": t.held("gone").Spec.CSI.VolumeHandle}
	t.check(t.Delete(t.Context(), &corev1.Pod{ObjectMeta: meta(t.namespace, "pod-gone")}))
	t.deleteClaim("gone")
	t.claimGoes("gone")
	t.settles(old["gone"], corev1.VolumeAvailable)
	t.deleteNamespace()
	t.deletePods()
	t.namespaceGoes()
	t.makeNamespace()
	for name := range old {
		t.makeClaim(name)
		t.makePod(name)
	}
	for name := range old {
		v := t.held(name)
		for _, handle := range old {
			if v.Spec.CSI.VolumeHandle == handle {
				t.Errorf("claim %s of the new namespace got %s, of the old one", name, say(v))
			}
		}
	}
	for _, handle := range old {
		t.settles(handle, corev1.VolumeReleased)
	}
}
