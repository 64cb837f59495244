package nodeloss

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// world is what there is.
type world struct {
	driver  string
	options Options
	now     time.Time

	// nodes are the Node objects, by name and by the label that volumes are bound to.
	nodes     map[string]bool
	nodeCount int
	volumes   []*corev1.PersistentVolume
	claims    map[types.NamespacedName]*corev1.PersistentVolumeClaim

	// What follows is asked for where it is needed.

	// pods are those of a namespace.
	pods map[string][]corev1.Pod
	// disks are the UUIDs that a node's plugin told, nil if it told none.
	disks map[string]map[string]bool
	// ledger is what was given up, nil if it was not read.
	ledger *ledger
}

// action is a write.
type action int

const (
	mark         action = iota // the node is absent: write down since when
	back                       // the node is back: its disks are to be looked at
	found                      // the disk is there, nothing was lost
	tell                       // tell people, once
	secure                     // policy Retain, without csi-provisioner's finalizer
	letGo                      // take the finalizer of reuse off the claim
	deleteClaim                // so that the StatefulSet makes it anew
	deleteVolume               // the PersistentVolume, not the data
	markClaim                  // like mark, for a claim without volume
	unmarkClaim                // its node is back
	reschedule                 // the scheduler chooses another node for it
)

func (a action) String() string {
	return [...]string{"mark", "back", "found", "tell", "secure", "let-go", "delete-claim", "delete-volume", "mark-claim", "unmark-claim", "reschedule"}[a]
}

// givesUp reports whether an action is one that brakes and a dry run hold.
func (a action) givesUp() bool {
	return slices.Contains([]action{secure, letGo, deleteClaim, deleteVolume, reschedule}, a)
}

// step is one write about one volume, or about a claim that has none.
type step struct {
	do     action
	volume *corev1.PersistentVolume
	claim  *corev1.PersistentVolumeClaim
	// node is whose presence the step depends on, and absent what it was.
	node   string
	absent bool
	// state is what to tell.
	state state
	// slot is what the ledger has to have before.
	slot *entry
}

// plan is what to do, as far as it is known.
type plan struct {
	steps       []step
	figures     figures
	needsPods   map[string]bool
	needsDisks  map[string]bool
	needsLedger bool
}

func (p plan) complete() bool {
	return len(p.needsPods) == 0 && len(p.needsDisks) == 0 && !p.needsLedger
}

// decider decides about one world.
type decider struct {
	*world
	plan
	// lostAt is since when nodes are absent that volumes are on.
	lostAt map[string]time.Time
	// byHand are the nodes of which a person has given up all volumes.
	byHand map[string]bool
	// begun are the replicas that were given up last, by StatefulSet, nil before the
	// ledger was looked at.
	begun map[types.UID]entry
	// taken is how many volumes were given up in the last hour, and onNodes where.
	taken   int
	onNodes map[string]bool
}

// decide returns the next step of each volume.
func decide(w *world) plan {
	d := &decider{
		world: w, lostAt: map[string]time.Time{}, byHand: map[string]bool{}, onNodes: map[string]bool{},
		plan: plan{needsPods: map[string]bool{}, needsDisks: map[string]bool{}, figures: newFigures()},
	}
	d.findLost()
	for _, v := range inOrder(w.volumes) {
		d.volume(v)
	}
	d.waitingClaims()
	d.figures.nodes = len(d.lostAt)
	return d.plan
}

// inOrder puts the replicas of a StatefulSet in theirs.
func inOrder(volumes []*corev1.PersistentVolume) []*corev1.PersistentVolume {
	key := func(v *corev1.PersistentVolume) (string, string) {
		if v.Spec.ClaimRef == nil {
			return "", v.Name
		}
		return v.Spec.ClaimRef.Namespace, v.Spec.ClaimRef.Name
	}
	return slices.SortedStableFunc(slices.Values(volumes), func(a, b *corev1.PersistentVolume) int {
		an, ac := key(a)
		bn, bc := key(b)
		if c := strings.Compare(an, bn); c != 0 {
			return c
		}
		if len(ac) != len(bc) { // www-web-9 before www-web-10
			return len(ac) - len(bc)
		}
		return strings.Compare(ac, bc)
	})
}

// findLost finds the absent nodes. Of what was written on a node's volumes the latest
// counts: a database that was restored may have marks of a former loss.
func (d *decider) findLost() {
	for _, v := range d.world.volumes {
		node := pv.Node(v, d.driver)
		if node == "" || d.nodes[node] {
			continue
		}
		since, ok := moment(v.Annotations[NodeLostSince], d.now)
		if !ok {
			since = d.now
		}
		if at, known := d.lostAt[node]; !known || since.After(at) {
			d.lostAt[node] = since
		}
		all, known := d.byHand[node]
		d.byHand[node] = (all || !known) && v.Annotations[pv.GiveUpAnnotation] != ""
	}
}

func (d *decider) do(s step) { d.steps = append(d.steps, s) }

// volume decides about one volume.
func (d *decider) volume(v *corev1.PersistentVolume) {
	node := pv.Node(v, d.driver)
	if node == "" {
		return
	}
	byHand := v.Annotations[pv.GiveUpAnnotation] != ""
	s := step{volume: v, claim: d.claimOf(v), node: node, absent: !d.nodes[node]}
	if s.absent {
		_, ok := moment(v.Annotations[NodeLostSince], d.now)
		if _, missing := v.Annotations[DiskMissingSince]; !ok || missing {
			s.do = mark
			d.do(s)
			return
		}
		if byHand || !d.lostAt[node].Add(d.options.Grace).After(d.now) {
			d.lost(s, byHand)
		}
		return
	}
	if _, marked := v.Annotations[NodeLostSince]; marked {
		s.do = back
		d.do(s)
		return
	}
	missing, looking := v.Annotations[DiskMissingSince]
	if !looking && !byHand && !pv.GivenUp(v) {
		return
	}
	disks, asked := d.disks[node]
	since, ok := moment(missing, d.now)
	switch {
	case !asked:
		d.needsDisks[node] = true
	case disks[pv.Disk(v)]:
		s.do = found
		d.do(s)
	case !ok:
		s.do = back
		d.do(s)
	case byHand:
		if !since.Add(min(secondLook, d.options.Grace)).After(d.now) {
			d.lost(s, byHand)
		}
	case disks != nil && !since.Add(d.options.Grace).After(d.now):
		d.figures.disks++
		d.tell(s, diskLost)
	}
}

// secondLook is how long a plugin has to be without a disk that a person has given up
// while the Node is there: one that has just started may only not have come to it.
const secondLook = time.Minute

// claimOf returns the claim that a volume is bound to, nil if it is gone.
func (d *decider) claimOf(v *corev1.PersistentVolume) *corev1.PersistentVolumeClaim {
	ref := v.Spec.ClaimRef
	if ref == nil || ref.UID == "" {
		return nil
	}
	c := d.claims[types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}]
	if c == nil || c.UID != ref.UID {
		return nil
	}
	return c
}

// lost decides about a volume that is lost.
func (d *decider) lost(s step, byHand bool) {
	p, err := pv.WantedOnNodeLoss(s.volume, s.claim)
	d.figures.lost[p]++
	switch {
	case err != nil:
		d.tell(s, badPolicy)
	case p == config.NodeLossKeep:
		d.tell(s, kept)
	case isUnused(s.volume) && s.claim == nil:
		d.free(s, byHand)
	case p == config.NodeLossRecreate:
		d.recreate(s, byHand)
	default:
		d.tell(s, inUse)
	}
}

// isUnused reports whether Kubernetes has taken the volume from its claim, or a person
// deletes it.
func isUnused(v *corev1.PersistentVolume) bool {
	phase := v.Status.Phase
	return phase == corev1.VolumeReleased || phase == corev1.VolumeFailed || v.DeletionTimestamp != nil && phase != corev1.VolumeBound
}

// free lets go of a volume that nobody uses. Its policy is made Retain and the finalizer
// taken off in one write: before it a node that returns does what it would have done,
// after it the node's provisioner has nothing to do with it. Then it is deleted.
func (d *decider) free(s step, byHand bool) {
	switch {
	case !isSecured(s.volume):
		s.do = secure
		d.giveUp(s, entry{Node: s.node}, byHand)
	case s.volume.DeletionTimestamp == nil:
		s.do = deleteVolume
		d.giveUp(s, entry{Node: s.node}, byHand)
	}
}

// recreate deletes the claim of a pod that waits for the node, once the volume is
// secured: it is Released then, and freed.
func (d *decider) recreate(s step, byHand bool) {
	c, v := s.claim, s.volume
	if c == nil || c.Spec.VolumeName != v.Name || v.Status.Phase != corev1.VolumeBound {
		d.tell(s, inUse)
		return
	}
	held := slices.Contains(c.Finalizers, reuseFinalizer)
	if c.DeletionTimestamp != nil {
		if isSecured(v) && held {
			s.do = letGo
			d.giveUp(s, entry{Node: s.node}, byHand)
		}
		return
	}
	pods, listed := d.pods[c.Namespace]
	if !listed {
		d.needsPods[c.Namespace] = true
		return
	}
	set, pod := waitingReplica(c, pods)
	if set == "" {
		d.tell(s, noReplica)
		return
	}
	switch {
	case !isSecured(v):
		s.do = secure
	case held:
		s.do = letGo
	default:
		s.do = deleteClaim
	}
	d.giveUp(s, entry{Node: s.node, Namespace: c.Namespace, Set: set, Pod: pod}, byHand)
}

// giveUp takes a step that gives a volume up, if no brake holds it.
func (d *decider) giveUp(s step, slot entry, byHand bool) {
	if !d.readLedger() {
		return
	}
	_, has := d.ledger.Entries[s.volume.UID]
	slot.At = d.now
	switch {
	case !byHand && d.tooManyNodes(s.node, d.lostAt[s.node]):
		d.hold(s, heldNodes)
	case d.otherReplica(slot):
		d.hold(s, heldReplica)
	case !byHand && !has && d.taken >= d.options.PerHour:
		d.hold(s, heldHour)
	case d.options.DryRun:
		d.tell(s, dryRun)
	default:
		if !has {
			s.slot = &slot
			d.taken++
		}
		if slot.Set != "" {
			d.begun[slot.Set] = slot
		}
		d.do(s)
	}
}

// hold tells that a brake holds a volume.
func (d *decider) hold(s step, why state) {
	d.figures.held[why]++
	d.tell(s, why)
}

// readLedger reports whether what was given up is known.
func (d *decider) readLedger() bool {
	if d.ledger == nil {
		d.needsLedger = true
		return false
	}
	if d.begun != nil {
		return true
	}
	d.begun = map[types.UID]entry{}
	for _, e := range d.ledger.Entries {
		if e.recent(d.now) {
			d.taken++
			d.onNodes[e.Node] = true
		}
		if last, ok := d.begun[e.Set]; e.Set != "" && (!ok || e.At.After(last.At)) {
			d.begun[e.Set] = e
		}
	}
	return true
}

// otherReplica reports whether another replica of the StatefulSet was given up and is
// not Ready yet.
func (d *decider) otherReplica(slot entry) bool {
	last, ok := d.begun[slot.Set]
	return slot.Set != "" && ok && last.Pod != slot.Pod && !last.isOver(d.now, d.pods)
}

// atOnce is how close together nodes are lost at once.
const atOnce = time.Hour

// tooManyNodes reports whether a node is one of more than a tenth of the nodes that are
// lost at once: then it is more likely that the API server's view is wrong, as after
// a restore of its database, than that all these machines are gone.
func (d *decider) tooManyNodes(node string, at time.Time) bool {
	together := map[string]bool{node: true}
	for other, since := range d.lostAt {
		if !d.byHand[other] && since.Sub(at).Abs() <= atOnce {
			together[other] = true
		}
	}
	for other := range d.onNodes {
		together[other] = true
	}
	return len(together) > max(1, (d.nodeCount+len(d.lostAt))/10)
}

// tell tells people about a volume, unless they were told the same.
func (d *decider) tell(s step, what state) {
	if s.volume.Annotations[Told] == string(what) {
		return
	}
	s.do, s.state = tell, what
	d.do(s)
}

// waitingClaims decides about the claims for which a node was chosen and that have no
// volume yet: nobody but the provisioner of that node could make one.
func (d *decider) waitingClaims() {
	var taken map[types.UID]bool
	for _, c := range d.claims {
		node := c.Annotations[selectedNode]
		since, ok := moment(c.Annotations[NodeLostSince], d.now)
		_, marked := c.Annotations[NodeLostSince]
		s := step{claim: c, node: node, absent: true}
		switch {
		case c.DeletionTimestamp != nil || !d.isOurs(c):
		case c.Spec.VolumeName != "" || node == "" || d.nodes[node]:
			if marked {
				s.do, s.absent = unmarkClaim, false
				d.do(s)
			}
		case !ok:
			s.do = markClaim
			d.do(s)
		case since.Add(d.options.Grace).After(d.now):
		default:
			if taken == nil {
				taken = d.takenClaims()
			}
			if taken[c.UID] || !d.readLedger() || d.tooManyNodes(node, since) || d.options.DryRun {
				continue
			}
			s.do = reschedule
			d.do(s)
		}
	}
}

func (d *decider) isOurs(c *corev1.PersistentVolumeClaim) bool {
	return c.Annotations[provisioner] == d.driver || c.Annotations[betaProvisioner] == d.driver
}

// takenClaims are those that a volume is being bound to.
func (d *decider) takenClaims() map[types.UID]bool {
	taken := map[types.UID]bool{}
	for _, v := range d.world.volumes {
		if ref := v.Spec.ClaimRef; ref != nil && ref.UID != "" {
			taken[ref.UID] = true
		}
	}
	return taken
}
