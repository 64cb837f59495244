package reuse

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	claimUID = types.UID("claim")
	goneUID  = types.UID("gone")
)

// newVolume is a volume that was made for the claim "data", which is bound to it.
func newVolume(name, handle string, change ...func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			StorageClassName:              "hostdir-reuse",
			ClaimRef:                      &corev1.ObjectReference{Namespace: "ns", Name: "data", UID: claimUID, ResourceVersion: "100"},
			PersistentVolumeSource:        corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{VolumeHandle: handle}},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound},
	}
	for _, f := range change {
		f(v)
	}
	return v
}

// newTwinOf is a twin that waits.
func newTwinOf(handle string, namespace types.UID, round int, change ...func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
	wait := func(v *corev1.PersistentVolume) {
		v.Annotations = map[string]string{claimAnnotation: "data"}
		v.Spec.ClaimRef.UID, v.Status.Phase = "", corev1.VolumeAvailable
	}
	return newVolume(twinName{namespace, hash("data"), round}.String(), handle, append([]func(*corev1.PersistentVolume){wait}, change...)...)
}

func dropped(v *corev1.PersistentVolume) {
	v.Spec.ClaimRef.UID, v.Status.Phase = goneUID, corev1.VolumeReleased
}
func taken(v *corev1.PersistentVolume) {
	v.Spec.ClaimRef.UID, v.Status.Phase = claimUID, corev1.VolumeBound
}
func toDelete(v *corev1.PersistentVolume) {
	v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
}
func going(v *corev1.PersistentVolume) {
	v.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
}
func young(v *corev1.PersistentVolume)  { v.CreationTimestamp = metav1.Unix(1000, 0) }
func unseen(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumePending }
func away(v *corev1.PersistentVolume)   { v.Spec.ClaimRef.Name = parked + "data" }

// newClaim is the claim "data", bound to a volume, or with "" to none.
func newClaim(volume string, change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	class := "hostdir-reuse"
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "data", UID: claimUID, Finalizers: []string{pvcProtection}},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, VolumeName: volume,
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")}},
		},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func heldByUs(c *corev1.PersistentVolumeClaim) { c.Finalizers = append(c.Finalizers, Finalizer) }
func inUse(c *corev1.PersistentVolumeClaim) {
	heldByUs(c)
	c.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
}
func unused(c *corev1.PersistentVolumeClaim) {
	inUse(c)
	c.Finalizers = []string{Finalizer}
}
func keeping(name string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) { c.Annotations = map[string]string{keepAnnotation: name} }
}

func volumes(v ...*corev1.PersistentVolume) []*corev1.PersistentVolume { return v }

func TestDecide(t *testing.T) {
	alive := &namespace{uid: here, resourceVersion: "50"}
	touched := &namespace{uid: here, resourceVersion: "150"}
	ending := &namespace{uid: here, resourceVersion: "50", terminating: true}
	first, second := newTwinOf("dir", here, 0), newTwinOf("dir", here, 1)
	for _, test := range []struct {
		name      string
		namespace *namespace
		claim     *corev1.PersistentVolumeClaim
		volumes   []*corev1.PersistentVolume
		exposed   bool // without the policy
		want      action
		on        string // name of the volume
		told      string // reason of the event
	}{
		{name: "a bound claim is held", namespace: alive, claim: newClaim("pvc"), volumes: volumes(newVolume("pvc", "dir")), want: hold},
		{name: "once", namespace: alive, claim: newClaim("pvc", heldByUs), volumes: volumes(newVolume("pvc", "dir"))},
		{name: "not one whose data goes with it", namespace: alive, claim: newClaim("pvc"), volumes: volumes(newVolume("pvc", "dir", toDelete))},
		{name: "not one that says it is bound to a volume that does not", namespace: alive, claim: newClaim("pvc"), volumes: volumes(newVolume("pvc", "dir", dropped)), want: nothing, told: ""},
		{name: "a claim that a pod uses waits", namespace: alive, claim: newClaim("pvc", inUse), volumes: volumes(newVolume("pvc", "dir"))},

		{name: "the volume of a claim that goes is reserved", namespace: alive, claim: newClaim("pvc", unused), volumes: volumes(newVolume("pvc", "dir")), want: reserve, on: "pvc"},
		{name: "also if its PersistentVolume is being deleted", namespace: alive, claim: newClaim("pvc", unused), volumes: volumes(newVolume("pvc", "dir", going)), want: reserve, on: "pvc"},
		{name: "until the binder knows, the claim stays", namespace: alive, claim: newClaim("pvc", unused), volumes: volumes(newVolume("pvc", "dir"), newTwinOf("dir", here, 0, unseen))},
		{name: "then it may go", namespace: alive, claim: newClaim("pvc", unused), volumes: volumes(newVolume("pvc", "dir"), first), want: letGo},
		{name: "in the second round", namespace: alive, claim: newClaim(first.Name, unused), volumes: volumes(newTwinOf("dir", here, 0, taken)), want: reserve, on: first.Name},
		{name: "as in the first", namespace: alive, claim: newClaim(first.Name, unused), volumes: volumes(newTwinOf("dir", here, 0, taken), second), want: letGo},
		{name: "a twin that was Released is reserved again", namespace: alive, claim: newClaim("pvc", unused), volumes: volumes(newVolume("pvc", "dir"), newTwinOf("dir", here, 0, dropped)), want: again, on: first.Name},
		{name: "nothing is reserved in a namespace that goes", namespace: ending, claim: newClaim("pvc", unused), volumes: volumes(newVolume("pvc", "dir")), want: letGo, told: "ReuseEnded"},
		{name: "nor without the policy", namespace: alive, claim: newClaim("pvc", unused), volumes: volumes(newVolume("pvc", "dir")), exposed: true, want: letGo, told: "ReuseUnguarded"},
		{name: "nor what is to be deleted", namespace: alive, claim: newClaim("pvc", unused), volumes: volumes(newVolume("pvc", "dir", toDelete)), want: letGo},
		{name: "a claim without a volume may go", namespace: alive, claim: newClaim("pvc", unused), want: letGo},
		{name: "what was reserved before makes room", namespace: alive, claim: newClaim("pvc", unused), volumes: volumes(newVolume("pvc", "new"), first), want: release, on: first.Name, told: "ReuseSuperseded"},
		{name: "unless the claim says it stays", namespace: alive, claim: newClaim("pvc", unused, keeping(first.Name)), volumes: volumes(newVolume("pvc", "new"), first), want: letGo, told: "ReuseSuperseded"},

		{name: "what a twin has replaced goes", namespace: alive, volumes: volumes(newVolume("pvc", "dir", dropped), first), want: remove, on: "pvc"},
		{name: "once", namespace: alive, volumes: volumes(newVolume("pvc", "dir", dropped, going), first)},
		{name: "not before the binder knows that its claim is gone", namespace: alive, volumes: volumes(newVolume("pvc", "dir", func(v *corev1.PersistentVolume) { v.Spec.ClaimRef.UID = goneUID }), first)},
		{name: "not if its policy is Delete", namespace: alive, volumes: volumes(newVolume("pvc", "dir", dropped, toDelete), first)},
		{name: "not if the twin goes", namespace: alive, volumes: volumes(newVolume("pvc", "dir", dropped), newTwinOf("dir", here, 0, going)), want: reserve, on: "pvc"},
		{name: "also where the namespace has gone meanwhile", namespace: nil, volumes: volumes(newVolume("pvc", "dir", dropped), newTwinOf("dir", here, 0, dropped)), want: remove, on: "pvc"},
		{name: "of two twins the earlier is released", namespace: alive, volumes: volumes(first, second), want: release, on: first.Name},

		{name: "a reservation waits", namespace: alive, volumes: volumes(first)},
		{name: "not in a namespace that goes", namespace: ending, volumes: volumes(first), want: release, on: first.Name, told: "ReuseEnded"},
		{name: "nor one that is gone", volumes: volumes(first), want: release, on: first.Name, told: "ReuseEnded"},
		{name: "nor for another of the same name", namespace: &namespace{uid: other}, volumes: volumes(first), want: release, on: first.Name, told: "ReuseEnded"},
		{name: "also if its claim is there", namespace: &namespace{uid: other}, claim: newClaim(""), volumes: volumes(first), want: release, on: first.Name, told: "ReuseEnded"},
		{name: "a claim that was refused it loses it", namespace: &namespace{uid: other}, claim: newClaim(""), volumes: volumes(newTwinOf("dir", here, 0, taken)), want: park, on: first.Name, told: "ReuseRefused"},
		{name: "for good", namespace: &namespace{uid: other}, claim: newClaim(""), volumes: volumes(newTwinOf("dir", here, 0, away)), want: release, on: first.Name},
		{name: "what is being bound is left alone", namespace: alive, claim: newClaim(""), volumes: volumes(newTwinOf("dir", here, 0, taken))},
		{name: "what is to be deleted is Released first", namespace: alive, volumes: volumes(newTwinOf("dir", here, 0, toDelete)), want: release, on: first.Name},
		{name: "a volume that was made besides is not left waiting", namespace: alive, claim: newClaim(first.Name, heldByUs), volumes: volumes(newTwinOf("dir", here, 0, taken), newVolume("pvc", "new", func(v *corev1.PersistentVolume) { v.Spec.ClaimRef.UID = "" })), want: release, on: "pvc", told: "ReuseSuperseded"},
		{name: "what a person has reserved by hand is", namespace: alive, volumes: volumes(newVolume("pvc", "dir", func(v *corev1.PersistentVolume) { v.Spec.ClaimRef.UID = "" }))},

		{name: "a claim that nobody held is known by the order of writes", namespace: alive, volumes: volumes(newVolume("pvc", "dir", dropped)), want: reserve, on: "pvc"},
		{name: "which a later write hides", namespace: touched, volumes: volumes(newVolume("pvc", "dir", dropped)), told: "ReuseUnknown"},
		{name: "or a claimRef that says nothing", namespace: alive, volumes: volumes(newVolume("pvc", "dir", dropped, func(v *corev1.PersistentVolume) { v.Spec.ClaimRef.ResourceVersion = "" })), told: "ReuseUnknown"},
		{name: "not of a twin, whose name says it", namespace: touched, volumes: volumes(newTwinOf("dir", here, 0, dropped)), want: again, on: first.Name},
		{name: "a twin of another namespace stays Released", namespace: &namespace{uid: other, resourceVersion: "50"}, volumes: volumes(newTwinOf("dir", here, 0, dropped))},
		{name: "nor is it without the policy", namespace: alive, volumes: volumes(newVolume("pvc", "dir", dropped)), exposed: true, told: "ReuseUnguarded"},
		{name: "of two the newest", namespace: alive, volumes: volumes(newVolume("pvc-1", "a", dropped, young), newVolume("pvc-2", "b", dropped)), want: reserve, on: "pvc-1"},
		{name: "none beside one that waits", namespace: alive, volumes: volumes(newVolume("pvc", "a", dropped), first), told: "ReuseSuperseded"},
		{name: "none beside one that is bound", namespace: alive, claim: newClaim("pvc-2", heldByUs), volumes: volumes(newVolume("pvc-1", "a", dropped), newVolume("pvc-2", "b")), told: "ReuseSuperseded"},
		{name: "one for a claim that waits", namespace: alive, claim: newClaim(""), volumes: volumes(newVolume("pvc", "a", dropped)), want: reserve, on: "pvc"},
		{name: "none in a namespace that goes", namespace: ending, volumes: volumes(newVolume("pvc", "dir", dropped))},

		{name: "a claim that is too large is told", namespace: alive, claim: newClaim("", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("3Gi")
		}), volumes: volumes(first), told: "ReuseMismatch"},
		{name: "so is one that has another volume", namespace: alive, claim: newClaim("elsewhere", heldByUs), volumes: volumes(first), told: "ReuseMismatch"},
		{name: "not one that is about to be bound", namespace: alive, claim: newClaim(""), volumes: volumes(first)},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &world{key: types.NamespacedName{Namespace: "ns", Name: "data"}, claim: test.claim, volumes: test.volumes, namespace: test.namespace}
			if s, notices := decide(w); s.do != look && s.do != hold && (s.do != nothing || len(notices) > 0) {
				t.Errorf("by the cache alone: %s, and %v", s.do, notices)
			}
			w.live, w.guarded = true, !test.exposed
			s, notices := decide(w)
			on := ""
			if s.volume != nil {
				on = s.volume.Name
			}
			if s.do != test.want || on != test.on {
				t.Errorf("%s of %q, want %s of %q", s.do, on, test.want, test.on)
			}
			if test.told == "" != (len(notices) == 0) || test.told != "" && notices[0].Reason != test.told {
				t.Errorf("told %+v, want %q", notices, test.told)
			}
			for _, n := range notices {
				if len(n.Text) > 1000 {
					t.Errorf("an event has %d bytes, 1024 are allowed: %s", len(n.Text), n.Text)
				}
			}
		})
	}
}

func TestDifferences(t *testing.T) {
	block, vac, class := corev1.PersistentVolumeBlock, "gold", "hostdir"
	for _, test := range []struct {
		name   string
		change func(*corev1.PersistentVolumeClaim)
		want   string
	}{
		{"size", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("2049Mi")
		}, "asks for 2049Mi, the volume has 2Gi"},
		{"mode", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = &block }, `volumeMode "Block"`},
		{"attributes", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeAttributesClassName = &vac }, `volumeAttributesClassName "gold"`},
		{"access", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
		}, "access mode ReadWriteOncePod"},
		{"class", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.StorageClassName, c.Spec.VolumeName = &class, "elsewhere"
		}, `storageClassName "hostdir"`},
		{"a class that the binder does not mind", func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = &class }, ""},
		{"less", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("1Gi")
		}, ""},
	} {
		found := differences(newClaim("", test.change), newTwinOf("dir", here, 0))
		if test.want == "" && len(found) > 0 || test.want != "" && !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, test.want) }) {
			t.Errorf("%s: %q", test.name, found)
		}
	}
}

// While a volume grows, its PersistentVolume says the new size first.
func TestTwinHasTheSizeThatIs(t *testing.T) {
	for _, test := range []struct {
		has, want string
		claim     bool
	}{
		{"1Gi", "1Gi", true},
		{"2Gi", "2Gi", true},
		{"", "2Gi", true},
		{"", "2Gi", false},
	} {
		v := newVolume("pvc", "dir", func(v *corev1.PersistentVolume) {
			v.Annotations = map[string]string{"pv.kubernetes.io/provisioned-by": "csi.hostdir.io", "pv.kubernetes.io/bound-by-controller": "yes", "other": "x"}
			v.Labels = map[string]string{"a": "b"}
			v.Finalizers = []string{"kubernetes.io/pv-protection"}
		})
		var claim *corev1.PersistentVolumeClaim
		if test.claim {
			claim = newClaim("pvc")
			if test.has != "" {
				claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(test.has)}
			}
		}
		twin := newTwin(v, next(v, here, "data"), "data", claim)
		if got := twin.Spec.Capacity[corev1.ResourceStorage]; got.String() != test.want {
			t.Errorf("a claim that has %q: the twin has %s, want %s", test.has, got.String(), test.want)
		}
		if got := v.Spec.Capacity[corev1.ResourceStorage]; got.String() != "2Gi" {
			t.Errorf("the volume itself has %s now", got.String())
		}
		if ref := twin.Spec.ClaimRef; ref.UID != "" || ref.ResourceVersion != "" || ref.Namespace != "ns" || ref.Name != "data" {
			t.Errorf("it is for %+v", ref)
		}
		if len(twin.Finalizers) > 0 || len(twin.Annotations) != 2 || twin.Labels["a"] != "b" || twin.Labels[twinLabel] == "" || v.Labels[twinLabel] != "" {
			t.Errorf("the twin is %+v", twin.ObjectMeta)
		}
	}
}
