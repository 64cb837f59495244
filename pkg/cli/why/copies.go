package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// Why a claim that begins as a copy waits: what it is a copy of is on one node, and on one
// disk there.

// restoreReasons are those of hostdir-controller's events about such claims, and
// csi-provisioner's. What was said last counts.
var restoreReasons = []string{"RestoreWaiting", "RestoreRefused", "RestoreNodeUnknown", "RestoreNodeGone", "RestoreNoRoom", "Provisioning", "ProvisioningFailed"}

// copyWord is what such an event says, and of which cause it speaks then.
type copyWord struct {
	phrase string
	cause  Name
}

// The first that is found counts. A test holds hostdir's own to the source that says it.
var (
	controllerWords = []copyWord{
		{"and there is no such node", NodeLost},
		{"their CRDs are not installed", SourceMissing},
		{"there is no such", SourceMissing},
		{"it is being deleted", SourceMissing},
		{"it has no VolumeSnapshotContent yet", SourceNotReady},
		{"it is not ready", SourceNotReady},
		{"it is not bound", SourceNotReady},
		{"it is a snapshot of the driver", SourceForeign},
		{"is none of hostdir's", SourceForeign},
		{"nothing says which node has", SourceNodeUnknown},
		{"it does not take the claim now", SourceNoRoom},
	}
	provisionerWords = []copyWord{
		{"error getting snapshot", SourceMissing},
		{"error getting PVC", SourceMissing},
		{"is currently being deleted", SourceMissing},
		{"is not handled by CSI driver", SourceForeign},
		{"is less than the size", SourceLarger},
		{"must be greater than or equal in size", SourceLarger},
		{"not bound", SourceNotReady},
		{"is not Ready", SourceNotReady},
		{"must have a status of Bound", SourceNotReady},
	}
	storeWords = []copyWord{
		{"must have that too", SourceLarger},
		{"use a class of pool", SourcePool},
		{"is being copied", Copying},
		{"only the disk ", SourceNoRoom},
	}
)

// copyTold returns what was said last about a claim that begins as a copy, if it is of
// this cause.
func (v *view) copyTold(cause Name) *corev1.Event {
	if v.Object == nil || !v.copies() {
		return nil
	}
	e := v.newest(ClaimKind, v.Name, restoreReasons...)
	if e == nil {
		return nil
	}
	words := controllerWords
	if e.Reason == "ProvisioningFailed" || e.Reason == "RestoreNoRoom" { // which quotes it
		words = slices.Concat(storeWords, provisionerWords, controllerWords)
	}
	for _, w := range words {
		if strings.Contains(e.Message, w.phrase) {
			if w.cause == cause {
				return e
			}
			return nil
		}
	}
	return nil
}

// copies reports whether the claim waits, and is to begin as a copy.
func (v *view) copies() bool { return v.isPending() && v.Origin != nil }

// because is a finding about what the claim begins as: what was seen, and what was told.
// Without either it is nil.
func (v *view) because(cause Name, seen []string, says, next string) *finding {
	f := &finding{says: says, evidence: seen, next: next}
	if e := v.copyTold(cause); e != nil {
		f.likely = len(seen) == 0 && v.Now.Sub(LastSeen(e)) > retries && e.Reason == "ProvisioningFailed"
		f.evidence = append(f.evidence, saysOf(e))
	}
	if len(f.evidence) == 0 {
		return nil
	}
	return f
}

func sourceForeign(v *view) *finding {
	if !v.copies() {
		return nil
	}
	o, seen := v.Origin, []string(nil)
	switch {
	case o.Content != nil && o.Content.Driver != v.Driver:
		seen = []string{fmt.Sprintf("VolumeSnapshotContent %s is of the driver %s", o.Content.Name, o.Content.Driver)}
	case o.Volume != nil && !pv.Is(o.Volume, v.Driver):
		seen = []string{fmt.Sprintf("PersistentVolume %s of %s is not hostdir's", o.Volume.Name, o)}
	}
	return v.because(SourceForeign, seen, fmt.Sprintf("%s is not hostdir's, and hostdir can copy only what is on its disks", o),
		"make the claim anew with a class of the driver that has it")
}

func sourceLarger(v *view) *finding {
	if !v.copies() {
		return nil
	}
	var seen []string
	least := v.Origin.least()
	if v.asked() < least {
		seen = []string{fmt.Sprintf("the claim asks for %s, and %s has %s", config.FormatSize(v.asked()), v.Origin, config.FormatSize(least))}
	}
	size := "SIZE"
	if least > 0 {
		size = config.FormatSize(least)
	}
	return v.because(SourceLarger, seen, fmt.Sprintf("the claim asks for less than %s has, which it begins as", v.Origin),
		fmt.Sprintf("make the claim anew, and ask for at least %s: kubectl -n %s delete pvc %s", size, v.Namespace, v.Name))
}

func sourcePool(v *view) *finding {
	if !v.copies() {
		return nil
	}
	var seen []string
	pool := "the one that has it"
	node, disk := v.home()
	if disk != nil {
		pool = disk.Pool
		if v.Class != nil && pool != v.class().Pool {
			seen = []string{
				fmt.Sprintf("it is on node %s, disk %s of pool %q", node, disk.Path, pool),
				fmt.Sprintf("StorageClass %s asks for pool %q", v.Class.Name, v.class().Pool),
			}
		}
	}
	return v.because(SourcePool, seen, fmt.Sprintf("%s is on a disk of another pool than the claim's class asks for, and a copy is made on the same disk", v.Origin),
		fmt.Sprintf("make the claim anew with a class of pool %s: kubectl get storageclass -o custom-columns=NAME:.metadata.name,POOL:.parameters.pool", pool))
}

func sourceMissing(v *view) *finding {
	if !v.copies() {
		return nil
	}
	o, seen := v.Origin, []string(nil)
	switch {
	case o.NoKind:
		seen = []string{"the cluster has no VolumeSnapshots: their CRDs are not installed"}
	case o.Kind == snapshotKind && o.Snapshot == nil && v.saw(Snapshots), o.Kind == claimKind && o.Claim == nil && v.saw(Claims):
		seen = []string{"there is no " + o.String()}
	case o.Snapshot != nil && o.Snapshot.Content != "" && o.Content == nil && v.saw(Contents):
		seen = []string{fmt.Sprintf("there is no VolumeSnapshotContent %s, which it names", o.Snapshot.Content)}
	case o.Snapshot != nil && o.Snapshot.Deleting, o.Claim != nil && o.Claim.DeletionTimestamp != nil:
		seen = []string{"it is being deleted"}
	case o.Claim != nil && o.Claim.Spec.VolumeName != "" && o.Volume == nil && v.saw(Volumes):
		seen = []string{fmt.Sprintf("there is no PersistentVolume %s, which it names", o.Claim.Spec.VolumeName)}
	default:
		seen = v.dataGone()
	}
	return v.because(SourceMissing, seen, fmt.Sprintf("there is nothing to copy: %s, or its data, is not there", o),
		"make it, or make the claim anew without it or with another one; "+o.describe())
}

// dataGone says that a snapshot that Kubernetes takes for ready is not on its disk.
func (v *view) dataGone() []string {
	o := v.Origin
	node, disk := v.home()
	a := v.answer(node)
	if disk == nil || disk.State == admin.Unusable || o.Snapshot == nil || !o.Snapshot.Ready || a == nil || a.Snapshots == nil {
		return nil
	}
	if slices.ContainsFunc(a.Snapshots.Snapshots, func(s admin.Snapshot) bool { return s.ID == o.Content.Handle }) {
		return nil
	}
	return []string{fmt.Sprintf("node %s has the disk %s, and no snapshot %s on it", node, disk.Path, o.Content.Handle)}
}

func sourceNotReady(v *view) *finding {
	if !v.copies() {
		return nil
	}
	o, seen, failed := v.Origin, []string(nil), ""
	made := v.snapshotOnNode()
	switch {
	case made != nil && made.Quarantine != "":
		seen = []string{fmt.Sprintf("it is in quarantine, %s: %s", made.Path, oneLine(made.Quarantine))}
	case o.Snapshot != nil && !o.Snapshot.Ready:
		if failed = o.Snapshot.Error; failed != "" {
			seen = []string{"its error is: " + oneLine(failed)}
		}
		if made != nil {
			seen = append(seen, fmt.Sprintf("node %s makes it: ready: %s", made.Node, made.State()))
		} else if o.Snapshot.Content == "" {
			seen = append(seen, "it has no VolumeSnapshotContent yet: does snapshot-controller run?")
		} else {
			seen = append(seen, "readyToUse of its status is not true")
		}
	case o.Claim != nil && o.Claim.DeletionTimestamp == nil && o.Claim.Status.Phase != corev1.ClaimBound:
		seen = []string{fmt.Sprintf("it is %s", cmp.Or(string(o.Claim.Status.Phase), "new"))}
	}
	next := o.describe()
	if failed == "" && made != nil && made.Quarantine == "" {
		next = "wait until it is made: kubectl hostdir snapshots -w -n " + o.Namespace
	} else if o.Kind == claimKind {
		next = fmt.Sprintf("kubectl hostdir why %s/%s", o.Namespace, o.Name)
	}
	return v.because(SourceNotReady, seen, fmt.Sprintf("%s is not ready to be copied", o), next)
}

// snapshotOnNode is what its node says of the snapshot that the claim begins as.
func (v *view) snapshotOnNode() *admin.Snapshot {
	o := v.Origin
	node, _ := v.home()
	a := v.answer(node)
	if o.Kind != snapshotKind || a == nil || a.Snapshots == nil {
		return nil
	}
	for i := range a.Snapshots.Snapshots {
		s := &a.Snapshots.Snapshots[i]
		if o.Content != nil && s.ID == o.Content.Handle || !s.Ready && s.VolumeSnapshot != nil && *s.VolumeSnapshot == (admin.Claim{Namespace: o.Namespace, Name: o.Name}) {
			return s
		}
	}
	return nil
}

func sourceNodeUnknown(v *view) *finding {
	if !v.copies() {
		return nil
	}
	o, seen := v.Origin, []string(nil)
	node, disk := v.home()
	if uuid := o.disk(); uuid != "" && disk == nil && node == "" && len(v.Answers) > 0 && v.saw(NodePlugins, PluginPods) {
		seen = []string{fmt.Sprintf("it is on disk %s, which no node has", uuid)}
	}
	next := "bring its disk back to a node; kubectl hostdir disks -o wide shows those that there are"
	if node != "" && o.Content != nil {
		next = fmt.Sprintf("kubectl label volumesnapshotcontent %s %s=%s", o.Content.Name, managedBy, node)
	}
	return v.because(SourceNodeUnknown, seen, fmt.Sprintf("it is not known which node has %s", o), next)
}

// sourceNodeLost is nodeLost of what a claim begins as.
func sourceNodeLost(v *view) *finding {
	if !v.copies() {
		return nil
	}
	var seen []string
	node, disk := v.home()
	if node != "" && disk == nil && v.saw(Nodes) && v.node(node) == nil {
		seen = []string{fmt.Sprintf("%s is on node %s alone", v.Origin, node), "there is no Node " + node}
	}
	return v.because(NodeLost, seen, fmt.Sprintf("node %s is gone, and %s with it, which the claim begins as", cmp.Or(node, "that had it"), v.Origin),
		"bring the node, or its disk, back: the claim waits for it. What is lost for good is restored from a backup, into a claim made anew")
}

// sourceElsewhere: a pod cannot run on the one node that has what its claim begins as.
func sourceElsewhere(v *view) *finding {
	if v.Object == nil || !v.isPending() && !v.isBound() {
		return nil
	}
	node, _ := v.home()
	where := "another node"
	if node != "" {
		where = "node " + node
	}
	for _, p := range v.pods {
		f := &finding{
			says: fmt.Sprintf("the claim begins as %s, which is on %s alone, and pod %s cannot run there", v.originName(), where, p.Name),
			next: fmt.Sprintf("let pod %s run there; or restore into a claim that a pod of that node uses, and copy over the network", p.Name),
		}
		if node != "" && v.isPending() && p.Spec.NodeName == "" {
			if why := v.excludes(p, node); why != "" {
				f.evidence = append(f.evidence, fmt.Sprintf("node %s: %s", node, why))
			}
			if tied := v.ties(p); len(tied) > 0 && tied[node] == "" {
				for other, claim := range tied {
					f.evidence = append(f.evidence, fmt.Sprintf("its claim %s is on node %s", claim, other))
				}
				slices.Sort(f.evidence)
			}
		}
		if node != "" && v.isPending() && p.Spec.NodeName != "" && p.Spec.NodeName != node {
			f.evidence = append(f.evidence, "its nodeName is "+p.Spec.NodeName)
		}
		if e := v.newest(PodKind, p.Name, "RestoreElsewhere"); e != nil && (node == "" || len(f.evidence) > 0) && !v.isFine() && strings.Contains(e.Message, "claim "+v.Name+" ") {
			f.evidence = append(f.evidence, saysOf(e))
		}
		if len(f.evidence) > 0 {
			return f
		}
	}
	return nil
}

// originName is for people, also of a claim that has its volume already.
func (v *view) originName() string {
	if v.Origin != nil {
		return v.Origin.String()
	}
	kind, namespace, name := BeginsAs(v.Object)
	return (&Origin{Kind: kind, Namespace: namespace, Name: name}).String()
}

func copying(v *view) *finding {
	if !v.copies() {
		return nil
	}
	var seen []string
	for _, a := range v.Answers {
		if a.Snapshots == nil {
			continue
		}
		for _, c := range a.Snapshots.Copies {
			if c.Volume == "pvc-"+string(v.Object.UID) {
				seen = append(seen, fmt.Sprintf("node %s: %s", a.Node, c))
			}
		}
	}
	return v.because(Copying, seen, fmt.Sprintf("%s is being copied, file by file, since its disk cannot share their blocks", v.Origin),
		fmt.Sprintf("wait until that is done; ask again to see how it comes along: kubectl hostdir why %s/%s", v.Namespace, v.Name))
}

// hindersCopy says why the one disk that has what a claim begins as does not take it.
func (v *view) hindersCopy() hindrance {
	is := v.lookHome()
	if is.cause == "" && is.known {
		return hindrance{fits: true}
	}
	if is.cause == "" {
		return v.toldOfCopy(is)
	}
	if is.cause == PoolFull {
		is.cause = SourceNoRoom
	}
	h := hindrance{cause: is.cause}
	h.likely = !is.sure
	h.evidence = []string{is.String(), fmt.Sprintf("it has %s, and a copy is made on the same disk", v.Origin)}
	if e := v.newest(ClaimKind, v.Name, restoreReasons...); e != nil && e.Type == corev1.EventTypeWarning {
		h.evidence = append(h.evidence, saysOf(e))
	}
	h.tell(v, is)
	return h
}

// lookHome says whether the disk that has what the claim begins as can take the claim.
func (v *view) lookHome() onNode {
	node, disk := v.home()
	if node == "" {
		return onNode{}
	}
	is := v.lookAtDriver(node)
	if is.cause != "" {
		return is
	}
	a := v.answer(node)
	switch {
	case disk != nil:
		return v.lookAtDisk(node, *disk, v.class())
	case a != nil && v.Origin.disk() != "":
		return v.diskOf(a, v.Origin.disk())
	}
	is = v.lookAt(node)
	if is.cause == "" { // some disk has room, and it may be another one
		is.known = false
	}
	return is
}

// toldOfCopy goes by what was said last, where the node could not be asked.
func (v *view) toldOfCopy(at onNode) hindrance {
	h := v.told()
	e := v.copyTold(SourceNoRoom)
	if h.cause != PoolFull && (h.cause != "" || e == nil) {
		return h
	}
	h.cause, at.cause = SourceNoRoom, SourceNoRoom
	if len(h.evidence) == 0 {
		h.evidence = []string{saysOf(e)}
	}
	h.tell(v, at)
	return h
}

// controllerPlaces reports whether hostdir-controller chooses the claim's node: of one
// that begins as a copy it does, also without a pod.
func (v *view) controllerPlaces() bool {
	return v.copies() && (!v.saw(PluginPods) || slices.ContainsFunc(v.Controllers, func(p corev1.Pod) bool { return isReady(&p) }))
}
