package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pod"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// Why a claim that begins as a copy waits: what it is a copy of is on one node, and on one
// disk there.

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
	next := "make it, or make the claim anew without it or with another one; " + o.describe()
	switch {
	case o.NoKind:
		seen = []string{"the cluster has no VolumeSnapshots: their CRDs are not installed"}
		next = "install snapshot-controller and its CRDs: docs/how-to/install.md"
	case o.Kind == snapshotKind && o.Snapshot == nil && v.saw(Snapshots), o.Kind == claimKind && o.Claim == nil && v.saw(Claims):
		seen = []string{"there is no " + o.String()}
	case o.Snapshot != nil && o.Snapshot.Content != "" && o.Content == nil && v.saw(Contents):
		seen = []string{fmt.Sprintf("there is no VolumeSnapshotContent %s, which it names", o.Snapshot.Content)}
	case o.Snapshot != nil && o.Snapshot.Deleting, o.Claim != nil && o.Claim.DeletionTimestamp != nil:
		seen = []string{"it is being deleted"}
	case o.Claim != nil && o.Claim.Spec.VolumeName != "" && o.Volume == nil && v.saw(Volumes):
		seen = []string{fmt.Sprintf("there is no PersistentVolume %s, which it names", o.Claim.Spec.VolumeName)}
	case o.Claim != nil && o.Claim.Spec.VolumeName == "", o.Snapshot != nil && !o.Snapshot.Ready:
		return nil // an event that says otherwise is from before it was made
	default:
		seen = v.dataGone()
	}
	return v.because(SourceMissing, seen, fmt.Sprintf("there is nothing to copy: %s, or its data, is not there", o), next)
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
	o, seen, next := v.Origin, []string(nil), v.Origin.describe()
	switch made := v.snapshotOnNode(); {
	case made != nil && made.Quarantine != "":
		seen = []string{fmt.Sprintf("it is in quarantine, %s: %s", made.Path, oneLine(made.Quarantine))}
	case o.Snapshot != nil && !o.Snapshot.Ready:
		seen = append(seen, v.making(made))
		if failed := o.Snapshot.Error; failed != "" {
			seen = append(seen, "its error is: "+oneLine(failed))
		} else if made != nil {
			next = "wait until it is made: kubectl hostdir snapshots -w -n " + o.Namespace
		}
	case o.Claim != nil && o.Claim.DeletionTimestamp == nil && o.Claim.Status.Phase != corev1.ClaimBound:
		seen = []string{fmt.Sprintf("it is %s", cmp.Or(string(o.Claim.Status.Phase), "new"))}
		next = fmt.Sprintf("kubectl hostdir why %s/%s", o.Namespace, o.Name)
	}
	return v.because(SourceNotReady, seen, fmt.Sprintf("%s is not ready to be copied", o), next)
}

// making says how far a snapshot is that is not ready; made is what its node says.
func (v *view) making(made *admin.Snapshot) string {
	node, _ := v.home()
	switch {
	case made != nil && made.Progress != nil:
		return fmt.Sprintf("node %s is making it: %s", node, made.Progress)
	case made != nil && made.Ready:
		return fmt.Sprintf("node %s has made it, and csi-snapshotter has not told so yet", node)
	case made != nil:
		return fmt.Sprintf("node %s is making it", node)
	case v.Origin.Snapshot.Content == "":
		return "it has no VolumeSnapshotContent yet: does snapshot-controller run?"
	case v.Origin.Content != nil && v.Origin.Content.Node == "":
		return fmt.Sprintf("VolumeSnapshotContent %s has no label %s, so that no csi-snapshotter looks after it", v.Origin.Content.Name, managedBy)
	}
	return "readyToUse of its status is not true"
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
		if node != "" && v.isPending() {
			f.evidence = v.whyNotAt(p, node)
		}
		e := v.newest(PodKind, p.Name, "RestoreElsewhere")
		if e != nil && (node == "" || len(f.evidence) > 0) && !v.isFine() && strings.Contains(e.Message, "claim "+v.Name+" ") {
			f.evidence = append(f.evidence, saysOf(e))
		}
		if len(f.evidence) > 0 {
			return f
		}
	}
	return nil
}

// whyNotAt says why a pod cannot run on a node, whatever room that has.
func (v *view) whyNotAt(p *corev1.Pod, node string) (why []string) {
	if p.Spec.NodeName != "" {
		if p.Spec.NodeName != node {
			why = append(why, "its nodeName is "+p.Spec.NodeName)
		}
		return why
	}
	if tied := v.ties(p); tied[node] == "" {
		for other, claim := range tied {
			why = append(why, fmt.Sprintf("its claim %s is on node %s", claim, other))
		}
	}
	for _, c := range slices.Concat(v.Claims, v.Others) {
		other := &view{World: v.World, Claim: c}
		if place, _ := other.home(); c.Name != v.Name && slices.Contains(pod.Claims(p), c.Name) && place != "" && place != node {
			why = append(why, fmt.Sprintf("its claim %s begins as %s, which is on node %s", c.Name, c.Origin, place))
		}
	}
	slices.Sort(why)
	if excludes := v.excludes(p, node); excludes != "" {
		why = append(why, fmt.Sprintf("node %s: %s", node, excludes))
	}
	return why
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
	return v.because(Copying, seen, fmt.Sprintf("%s is being copied, file by file", v.Origin),
		fmt.Sprintf("wait until that is done; ask again to see how it comes along: kubectl hostdir why %s/%s", v.Namespace, v.Name))
}
