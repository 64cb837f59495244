package rebuild

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// Verb is what is done about an object.
type Verb string

const (
	// Nothing: it is not there, and it is not to be.
	Nothing Verb = ""
	// Exists: nothing is to do.
	Exists Verb = "exists"
	Create Verb = "create"
	// Exchange is for a PersistentVolume that names another node. That cannot be
	// changed: it makes way for one of the same name.
	Exchange Verb = "exchange"
	// Conflict is for a person to decide.
	Conflict Verb = "conflict"
)

// Row is what is done about a volume.
type Row struct {
	Node             string `json:"node"`
	VolumeID         string `json:"volumeID"`
	PersistentVolume string `json:"persistentVolume"`
	Claim            string `json:"claim,omitempty"`
	Class            string `json:"class,omitempty"`
	CapacityBytes    int64  `json:"capacityBytes"`
	Volume           Verb   `json:"volume"`
	ClaimVerb        Verb   `json:"claimVerb,omitempty"`
	Message          string `json:"message,omitempty"`

	// old goes, new comes. claim is made after it.
	old, new *corev1.PersistentVolume
	claim    *corev1.PersistentVolumeClaim
}

// InConflict reports whether a person has to decide something.
func (r Row) InConflict() bool { return r.Volume == Conflict || r.ClaimVerb == Conflict }

// Todo reports whether something is to do.
func (r Row) Todo() bool {
	return r.Volume == Create || r.Volume == Exchange || r.ClaimVerb == Create
}

// Options are a person's words.
type Options struct {
	// Claims asks for claims as well.
	Claims bool
	// StorageClass and AccessMode are for volumes whose records do not say theirs.
	StorageClass, AccessMode string
}

// Plan decides for each volume, in the order of nodes and names.
func Plan(w *World, o Options) []Row {
	p := planner{w, o}
	var rows []Row
	seen := map[string]bool{}
	for _, v := range w.Volumes {
		seen[v.ID] = true
		rows = append(rows, p.row(v))
	}
	for _, n := range w.Notes {
		if id := n.PersistentVolume.Spec.CSI.VolumeHandle; !seen[id] {
			r := Row{Node: pv.Node(&n.PersistentVolume, w.Driver), VolumeID: id}
			p.goOn(&r, n)
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Claim, b.Claim), cmp.Compare(a.VolumeID, b.VolumeID))
	})
	return rows
}

type planner struct {
	*World
	Options
}

func (p planner) row(v Volume) Row {
	r := Row{Node: v.Node, VolumeID: v.ID, PersistentVolume: v.PersistentVolume, CapacityBytes: v.CapacityBytes}
	if v.Claim != nil {
		r.Claim = v.Claim.String()
	}
	if v.Quarantine != "" {
		r.conflict("its record cannot be read: %s", v.Quarantine)
		return r
	}
	if nodes := p.nodesWith(v.ID); len(nodes) > 1 {
		r.conflict("nodes %s have the same volume: a disk was copied; take the copies away", strings.Join(nodes, ", "))
		return r
	}
	if v.nodeName() == "" {
		r.conflict("node %s does not say how PersistentVolumes name it", v.Node)
		return r
	}
	if i := slices.IndexFunc(p.Notes, func(n Note) bool { return n.PersistentVolume.Spec.CSI.VolumeHandle == v.ID }); i >= 0 {
		n := p.Notes[i]
		n.PersistentVolume.Spec.NodeAffinity = pv.Affinity(v.NodeLabels)
		p.goOn(&r, n)
		return r
	}
	switch there := p.having(v.ID); len(there) {
	case 0:
		p.create(&r, v)
	case 1:
		p.keepOrExchange(&r, v, there[0])
	default:
		p.several(&r, v, there)
	}
	return r
}

func (r *Row) conflict(why string, args ...any) {
	r.Volume, r.ClaimVerb, r.old, r.new, r.claim = Conflict, Nothing, nil, nil, nil
	r.Message = fmt.Sprintf(why, args...)
}

func (r *Row) say(what string, args ...any) {
	if r.Message != "" {
		r.Message += "; "
	}
	r.Message += fmt.Sprintf(what, args...)
}

func (p planner) nodesWith(id string) (nodes []string) {
	for _, v := range p.Volumes {
		if v.ID == id {
			nodes = append(nodes, v.Node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// several is for a volume between two PersistentVolumes, as hostdir-controller has it
// for a moment when it reserves one.
func (p planner) several(r *Row, v Volume, there []*corev1.PersistentVolume) {
	var names []string
	for _, old := range there {
		names = append(names, old.Name)
		if pv.Node(old, p.Driver) != v.nodeName() {
			r.conflict("it has several PersistentVolumes, and not all name node %s: delete those that are not needed, once they are Retain", v.nodeName())
		}
	}
	if r.Volume != Conflict {
		r.Volume = Exists
	}
	r.say("PersistentVolumes %s", strings.Join(names, ", "))
}

// show has the row say what a PersistentVolume says.
func (r *Row) show(p *corev1.PersistentVolume) {
	r.PersistentVolume, r.Class = p.Name, p.Spec.StorageClassName
	if c := p.Spec.ClaimRef; c != nil {
		r.Claim = c.Namespace + "/" + c.Name
	}
	if size := p.Spec.Capacity.Storage(); size != nil {
		r.CapacityBytes = size.Value()
	}
}

func (p planner) keepOrExchange(r *Row, v Volume, old *corev1.PersistentVolume) {
	r.show(old)
	switch node := pv.Node(old, p.Driver); {
	case old.DeletionTimestamp != nil:
		r.conflict("its PersistentVolume is being deleted: once that is gone, this makes another one")
	case node == v.nodeName():
		r.Volume = Exists
		p.claimOf(r, old)
	case node == "":
		r.conflict("its PersistentVolume names no single node by %s/node", p.Driver)
	default:
		r.old, r.new = old, successor(old)
		r.new.Spec.NodeAffinity = pv.Affinity(v.NodeLabels)
		p.exchange(r, fmt.Sprintf("it names node %s", node))
	}
}

// goOn finishes an exchange that has begun.
func (p planner) goOn(r *Row, n Note) {
	r.show(&n.PersistentVolume)
	r.new = &n.PersistentVolume
	there := p.persistentVolume(n.PersistentVolume.Name)
	switch {
	case there == nil:
	case there.UID == n.Old:
		r.old = there
	case pv.Is(there, p.Driver) && there.Spec.CSI.VolumeHandle == r.VolumeID && pv.Node(there, p.Driver) == pv.Node(r.new, p.Driver):
		// The new one: its note is left.
	case pv.Is(there, p.Driver) && there.Spec.CSI.VolumeHandle == r.VolumeID:
		r.old, r.new = there, successor(there)
		r.new.Spec.NodeAffinity = n.PersistentVolume.Spec.NodeAffinity
	default:
		r.conflict("an exchange has begun, and PersistentVolume %s is another volume's now", there.Name)
		return
	}
	p.exchange(r, "the exchange has begun")
}

func (p planner) exchange(r *Row, why string) {
	r.Volume = Exchange
	r.say("%s", why)
	if c := r.new.Spec.ClaimRef; c != nil {
		if pod := runningWith(p.Pods, admin.Claim{Namespace: c.Namespace, Name: c.Name}); pod != "" && r.old != nil {
			r.conflict("%s, and pod %s runs with it: end that first", why, pod)
			return
		}
	}
	p.claimOf(r, r.new)
}

// successor is what takes a PersistentVolume's place.
func successor(old *corev1.PersistentVolume) *corev1.PersistentVolume {
	fresh := &corev1.PersistentVolume{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolume"},
		ObjectMeta: metav1.ObjectMeta{Name: old.Name, Labels: old.Labels, Annotations: old.Annotations},
		Spec:       *old.Spec.DeepCopy(),
	}
	fresh.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	if fresh.Spec.ClaimRef != nil {
		fresh.Spec.ClaimRef.ResourceVersion = ""
	}
	return fresh
}
