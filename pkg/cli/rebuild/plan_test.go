package rebuild

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

const driver = "csi.hostdir.io"

var defaultClass = config.Class{Pool: "default", Mode: "0777", Quota: config.QuotaAuto}

// volume is one of claim shop/data with everything in its record.
func volume(node, id string, change ...func(*Volume)) Volume {
	v := Volume{Node: node, Adoptable: admin.Adoptable{
		ID: id, PersistentVolume: "pv-1", Claim: &admin.Claim{Namespace: "shop", Name: "data"}, CapacityBytes: 1 << 30,
		MountOptions: []string{"noatime"}, AccessModes: []string{"ReadWriteOnce"}, Class: defaultClass,
		Driver: driver, NodeLabels: map[string]string{driver + "/node": node},
	}}
	v.Class.Name = "hostdir"
	for _, f := range change {
		f(&v)
	}
	return v
}

func old(v *Volume)      { v.Class.Name, v.AccessModes = "", nil }
func nameless(v *Volume) { v.Claim = nil }

func named(name string) func(*Volume) {
	return func(v *Volume) { v.PersistentVolume = name }
}

// persistentVolume is the one of a volume, on a node.
func persistentVolume(node, id string, uid types.UID, change ...func(*corev1.PersistentVolume)) corev1.PersistentVolume {
	p, err := newPersistentVolume(volume(node, id), admin.Claim{Namespace: "shop", Name: "data"}, "hostdir", []string{"ReadWriteOnce"})
	if err != nil {
		panic(err)
	}
	p.UID = types.UID("uid-of-" + p.Name)
	p.Spec.ClaimRef.UID = uid
	p.Finalizers = []string{"kubernetes.io/pv-protection"}
	for _, f := range change {
		f(p)
	}
	return *p
}

func called(name string) func(*corev1.PersistentVolume) {
	return func(p *corev1.PersistentVolume) { p.Name = name }
}

// claim is shop/data, bound to a PersistentVolume or with "" to none.
func claim(to string, change ...func(*corev1.PersistentVolumeClaim)) corev1.PersistentVolumeClaim {
	class := "hostdir"
	c := corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data", UID: "uid-1"},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, VolumeName: to, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func class(name string, parameters map[string]string, options ...string) storagev1.StorageClass {
	return storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: driver, Parameters: parameters, MountOptions: options}
}

func pod(node string) corev1.Pod {
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0"}, Spec: corev1.PodSpec{NodeName: node, Volumes: []corev1.Volume{
		{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
	}}}
}

func noteOf(p corev1.PersistentVolume) Note {
	fresh := successor(&p)
	fresh.Spec.NodeAffinity = pv.Affinity(volume("b", "v").NodeLabels)
	return Note{PersistentVolume: *fresh, Old: p.UID}
}

type claims = []corev1.PersistentVolumeClaim
type persistentVolumes = []corev1.PersistentVolume

var deleted = metav1.Now()

// plans are the cases, with --claims.
var plans = []struct {
	name  string
	world World
	pv    Verb
	pvc   Verb
	says  string
}{
	{name: "etcd is lost", world: World{Volumes: []Volume{volume("a", "v")}, Classes: []storagev1.StorageClass{class("hostdir", nil)}}, pv: Create, pvc: Create},
	{name: "etcd is lost, and so is the class", world: World{Volumes: []Volume{volume("a", "v")}}, pv: Create, pvc: Create, says: "no StorageClass hostdir"},
	{name: "its PersistentVolume is there", world: World{Volumes: []Volume{volume("a", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("a", "v", "uid-1")}, Claims: claims{claim("pv-1")}}, pv: Exists, pvc: Exists},
	{name: "reserved, and the claim is not there", world: World{Volumes: []Volume{volume("a", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("a", "v", "")}}, pv: Exists, pvc: Create},
	{name: "Released", world: World{Volumes: []Volume{volume("a", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("a", "v", "uid-0")}}, pv: Exists, says: "bound to a claim shop/data that is gone"},
	{name: "Released, and the claim is another one", world: World{Volumes: []Volume{volume("a", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("a", "v", "uid-0")}, Claims: claims{claim("pv-2")}}, pv: Exists, says: "that is gone"},
	{name: "it names another node", world: World{Volumes: []Volume{volume("b", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("a", "v", "uid-1")}, Claims: claims{claim("pv-1")}}, pv: Exchange, pvc: Exists, says: "names node a"},
	{name: "it names another node, and a pod waits", world: World{Volumes: []Volume{volume("b", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("a", "v", "uid-1")}, Claims: claims{claim("pv-1")}, Pods: []corev1.Pod{pod("")}}, pv: Exchange, pvc: Exists},
	{name: "it names another node, and a pod runs", world: World{Volumes: []Volume{volume("b", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("a", "v", "uid-1")}, Claims: claims{claim("pv-1")}, Pods: []corev1.Pod{pod("a")}}, pv: Conflict, says: "pod shop/web-0 runs with it"},
	{name: "it names no node", world: World{Volumes: []Volume{volume("b", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("a", "v", "", func(p *corev1.PersistentVolume) { p.Spec.NodeAffinity = nil })}}, pv: Conflict, says: "names no single node"},
	{name: "it is being deleted", world: World{Volumes: []Volume{volume("a", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("a", "v", "", func(p *corev1.PersistentVolume) { p.DeletionTimestamp = &deleted })}}, pv: Conflict, says: "is being deleted"},
	{name: "it has two, both right", world: World{Volumes: []Volume{volume("a", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("a", "v", ""), persistentVolume("a", "v", "", called("reuse-1"))}}, pv: Exists, says: "pv-1, reuse-1"},
	{name: "it has two, one wrong", world: World{Volumes: []Volume{volume("b", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("a", "v", ""), persistentVolume("b", "v", "", called("reuse-1"))}}, pv: Conflict, says: "several PersistentVolumes"},
	{name: "two nodes have it", world: World{Volumes: []Volume{volume("a", "v"), volume("b", "v")}}, pv: Conflict, says: "nodes a, b have the same volume"},
	{name: "two volumes of one claim", world: World{Volumes: []Volume{volume("a", "v"), volume("b", "w", named("pv-2"))}}, pv: Conflict, says: "also w on node b"},
	{name: "two volumes, and the claim has one of them", world: World{Volumes: []Volume{volume("a", "v"), volume("b", "w", named("pv-2"))}, PersistentVolumes: persistentVolumes{persistentVolume("b", "w", "uid-1", called("pv-2"))}, Claims: claims{claim("pv-2")}}, pv: Conflict, says: "also w on node b"},
	{name: "the claim's other volume was bound to another claim", world: World{Volumes: []Volume{volume("a", "v"), volume("b", "w", named("pv-2"))}, Claims: claims{claim("pv-2", func(c *corev1.PersistentVolumeClaim) { c.Name = "other" })}}, pv: Create, pvc: Create},
	{name: "another PersistentVolume is reserved for the claim", world: World{Volumes: []Volume{volume("a", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("a", "elsewhere", "", called("pv-9"))}}, pv: Conflict, says: "PersistentVolume pv-9"},
	{name: "the claim has another volume", world: World{Volumes: []Volume{volume("a", "v")}, Claims: claims{claim("pv-7")}}, pv: Conflict, says: "is bound to PersistentVolume pv-7"},
	{name: "the claim is Lost", world: World{Volumes: []Volume{volume("a", "v")}, Claims: claims{claim("pv-1")}}, pv: Create, pvc: Exists},
	{name: "it was bound to another claim since", world: World{Volumes: []Volume{volume("a", "v", nameless)}, Claims: claims{claim("pv-1")}}, pv: Create, pvc: Exists},
	{name: "the claim waits", world: World{Volumes: []Volume{volume("a", "v")}, Claims: claims{claim("")}}, pv: Create, pvc: Exists},
	{name: "the claim waits, and is being deleted", world: World{Volumes: []Volume{volume("a", "v")}, Claims: claims{claim("", func(c *corev1.PersistentVolumeClaim) { c.DeletionTimestamp = &deleted })}}, pv: Conflict, says: "is being deleted"},
	{name: "the claim asks for more", world: World{Volumes: []Volume{volume("a", "v")}, Claims: claims{claim("", func(c *corev1.PersistentVolumeClaim) {
		c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("2Gi")
	})}}, pv: Conflict, says: "asks for 2Gi"},
	{name: "the claim is of another class", world: World{Volumes: []Volume{volume("a", "v")}, Claims: claims{claim("", func(c *corev1.PersistentVolumeClaim) { other := "other"; c.Spec.StorageClassName = &other })}}, pv: Conflict, says: "is of class other"},
	{name: "the claim asks for another mode", world: World{Volumes: []Volume{volume("a", "v")}, Claims: claims{claim("", func(c *corev1.PersistentVolumeClaim) {
		c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
	})}}, pv: Conflict, says: "asks for ReadWriteOncePod"},
	{name: "the name is taken", world: World{Volumes: []Volume{volume("a", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("a", "w", "uid-9")}}, pv: Conflict, says: "pv-1 is another volume's"},
	{name: "of no known claim", world: World{Volumes: []Volume{volume("a", "v", nameless)}}, pv: Conflict, says: "not known which claim"},
	{name: "its record is damaged", world: World{Volumes: []Volume{{Node: "a", Quarantine: "it is gone", Adoptable: admin.Adoptable{ID: "v"}}}}, pv: Conflict, says: "cannot be read: it is gone"},
	{name: "no namespace", world: World{Volumes: []Volume{volume("a", "v", func(v *Volume) { v.Claim = &admin.Claim{Namespace: "bank", Name: "data"} })}}, pv: Create, pvc: Conflict, says: "no namespace bank"},
	{name: "an old record, one class", world: World{Volumes: []Volume{volume("a", "v", old)}, Classes: []storagev1.StorageClass{
		class("fits", map[string]string{"className": "fits", "csi.storage.k8s.io/fstype": "xfs"}, "noatime"), class("other-pool", map[string]string{"pool": "fast"}, "noatime"), class("other-options", nil),
	}}, pv: Create, pvc: Create, says: "fits is the only one"},
	{name: "an old record, two classes", world: World{Volumes: []Volume{volume("a", "v", old)}, Classes: []storagev1.StorageClass{class("x", nil, "noatime"), class("y", nil, "noatime")}}, pv: Conflict, says: "x, y make such volumes: say it with --storage-class"},
	{name: "an old record, no class", world: World{Volumes: []Volume{volume("a", "v", old)}}, pv: Conflict, says: "none makes such volumes"},
	{name: "an old record, and the claim waits", world: World{Volumes: []Volume{volume("a", "v", old)}, Claims: claims{claim("")}}, pv: Create, pvc: Exists},
	{name: "an exchange has begun", world: World{Volumes: []Volume{volume("b", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("a", "v", "uid-1", func(p *corev1.PersistentVolume) { p.DeletionTimestamp = &deleted })}, Claims: claims{claim("pv-1")}, Notes: []Note{noteOf(persistentVolume("a", "v", "uid-1"))}}, pv: Exchange, pvc: Exists, says: "has begun"},
	{name: "an exchange has begun, and the old one is gone", world: World{Volumes: []Volume{volume("b", "v")}, Claims: claims{claim("pv-1")}, Notes: []Note{noteOf(persistentVolume("a", "v", "uid-1"))}}, pv: Exchange, pvc: Exists},
	{name: "an exchange is done but for its note", world: World{Volumes: []Volume{volume("b", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("b", "v", "uid-1", func(p *corev1.PersistentVolume) { p.UID = "new" })}, Claims: claims{claim("pv-1")}, Notes: []Note{noteOf(persistentVolume("a", "v", "uid-1"))}}, pv: Exchange, pvc: Exists},
	{name: "an exchange has begun, and no node has the volume", world: World{Claims: claims{claim("pv-1")}, Notes: []Note{noteOf(persistentVolume("a", "v", "uid-1"))}}, pv: Exchange, pvc: Exists},
	{name: "an exchange has begun, and the name is taken", world: World{Volumes: []Volume{volume("b", "v")}, PersistentVolumes: persistentVolumes{persistentVolume("b", "w", "", func(p *corev1.PersistentVolume) { p.UID = "new" })}, Notes: []Note{noteOf(persistentVolume("a", "v", "uid-1"))}}, pv: Conflict, says: "another volume's now"},
}

func TestPlan(t *testing.T) {
	for _, test := range plans {
		t.Run(test.name, func(t *testing.T) {
			w := test.world
			w.Driver, w.Namespaces = driver, []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}}
			rows := Plan(&w, Options{Claims: true, AccessMode: "ReadWriteOnce"})
			r := rows[0]
			if r.Volume != test.pv || r.ClaimVerb != test.pvc || !strings.Contains(r.Message, test.says) {
				t.Errorf("%s %s %q; want %s %s %q", r.Volume, r.ClaimVerb, r.Message, test.pv, test.pvc, test.says)
			}
			if (r.new != nil) != (r.Volume == Create || r.Volume == Exchange) || (r.claim != nil) != (r.ClaimVerb == Create) {
				t.Errorf("it would make %+v, %+v", r.new, r.claim)
			}
			if r.InConflict() != (test.pv == Conflict || test.pvc == Conflict) {
				t.Errorf("in conflict: %v", r.InConflict())
			}
			if r.new == nil {
				return
			}
			spec := r.new.Spec
			if spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain || spec.CSI.VolumeHandle != "v" || r.new.Name != "pv-1" || r.new.UID != "" ||
				len(r.new.Finalizers) != 0 || len(spec.AccessModes) != 1 || spec.MountOptions[0] != "noatime" || spec.Capacity.Storage().Value() != 1<<30 {
				t.Errorf("it would make %+v", r.new)
			}
			wantUID := types.UID("")
			if len(w.Claims) > 0 && w.Claims[0].Spec.VolumeName == "pv-1" {
				wantUID = w.Claims[0].UID
			}
			if spec.ClaimRef.UID != wantUID {
				t.Errorf("it would be reserved for a claim of UID %q, want %q", spec.ClaimRef.UID, wantUID)
			}
		})
	}
}

// TestClaimsAreAskedFor makes no claim unless a person wants it.
func TestClaimsAreAskedFor(t *testing.T) {
	w := &World{Driver: driver, Volumes: []Volume{volume("a", "v")}}
	if r := Plan(w, Options{})[0]; r.Volume != Create || r.ClaimVerb != Nothing || r.InConflict() || !r.Todo() {
		t.Errorf("%+v", r)
	}
}

// TestPersonSaysTheClass has --storage-class and --access-mode decide where records say
// nothing, and nowhere else.
func TestPersonSaysTheClass(t *testing.T) {
	w := &World{Driver: driver, Volumes: []Volume{volume("a", "v", old), volume("b", "w", named("pv-2"), func(v *Volume) { v.Claim = &admin.Claim{Namespace: "shop", Name: "other"} })}}
	rows := Plan(w, Options{StorageClass: "said", AccessMode: "ReadWriteOncePod"})
	if r := rows[0]; r.Class != "said" || r.new.Spec.AccessModes[0] != corev1.ReadWriteOncePod {
		t.Errorf("%+v", r)
	}
	if r := rows[1]; r.Class != "hostdir" || r.new.Spec.AccessModes[0] != corev1.ReadWriteOnce {
		t.Errorf("%+v", r)
	}
}
