package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// hindrance is why a volume cannot be made, or used, on the nodes where it would have
// to be. The zero value is none.
type hindrance struct {
	cause Name
	finding
	// fits says that a node has room, so that there is no hindrance.
	fits bool
}

// hindered finds a cause that is of nodes and disks.
func hindered(cause Name) func(*view) *finding {
	return func(v *view) *finding {
		if h := v.hinders(); h.cause == cause {
			return &h.finding
		}
		return nil
	}
}

// hinders looks once.
func (v *view) hinders() *hindrance {
	if v.hindranceOf == nil {
		var h hindrance
		switch {
		case (v.isBound() || v.isLeft()) && v.Volume != nil && pv.Is(v.Volume, v.Driver):
			h = v.hindersVolume()
		case v.isBound() && v.Volume == nil && !v.isFine():
			h = v.told()
		case v.isPending() && v.isWanted():
			h = v.hindersClaim()
		case v.isPending():
			h = v.poolNowhere()
		}
		v.hindranceOf = &h
	}
	return v.hindranceOf
}

// isWanted reports whether somebody is to make a volume for the claim now.
func (v *view) isWanted() bool {
	return len(v.pods) > 0 || !v.waits() || v.Object.Annotations[selectedNode] != ""
}

// onNode is what one node has for the claim.
type onNode struct {
	node  string
	cause Name // "" if it has room, or nothing is known
	room  int64
	known bool
	// at is the path of the disk, says what is wrong with it.
	at, says string
	// sure is false for what is concluded from the scheduler's figures.
	sure bool
}

// dominance orders what hinders a disk, or a node, among several: what is broken
// before what is full, and what may be meant before what is not there.
var dominance = []Name{
	DiskAbsent, DiskExchanged, DiskCopied, DiskOwned, DiskFaulty, DiskUnresponsive, DiskStarting, DiskMissing,
	QuotaMissing, DiskCordoned, DiskReadOnly, PoolFull, DriverNotRegistered, DriverNotOnNode, PoolUnknown,
}

func byDominance(a, b onNode) int {
	return cmp.Or(cmp.Compare(slices.Index(dominance, a.cause), slices.Index(dominance, b.cause)), cmp.Compare(b.room, a.room), cmp.Compare(a.node, b.node))
}

// lookAt says whether a node could take the claim.
func (v *view) lookAt(node string) onNode {
	is := onNode{node: node, known: true, sure: true}
	if len(v.Plugins) > 0 && v.plugin(node) == nil {
		is.cause, is.says = DriverNotOnNode, "hostdir has no pod there"
		return is
	}
	if yes, known := v.registered(node); known && !yes {
		is.cause, is.says = DriverNotRegistered, "kubelet there does not know the driver"
		return is
	}
	class := v.class()
	if a := v.answer(node); a != nil {
		var disks []onNode
		for _, d := range a.Disks.Disks {
			if d.Pool == class.Pool {
				disks = append(disks, v.lookAtDisk(node, d, class))
			}
		}
		if i := slices.IndexFunc(disks, func(d onNode) bool { return d.cause == "" }); i >= 0 {
			return disks[i]
		}
		if len(disks) > 0 {
			return slices.MinFunc(disks, byDominance)
		}
		is.cause, is.says = PoolUnknown, fmt.Sprintf("it has no disk of a pool %q", class.Pool)
		return is
	}
	is.sure = false
	bytes, known := v.roomSeen(v.className(), node)
	is.room, is.known = bytes, known
	if known && bytes < v.asked() {
		is.cause, is.says = PoolFull, fmt.Sprintf("the scheduler knows of room for %s", config.FormatSize(bytes))
	}
	return is
}

func (v *view) lookAtDisk(node string, d admin.Disk, class config.Class) onNode {
	is := onNode{node: node, at: d.Path, known: true, sure: true, room: d.AvailableBytes}
	switch {
	case d.State == admin.Unusable:
		is.cause, is.says = cmp.Or(reasons[string(d.Reason)], DiskFaulty), d.Message
	case class.Quota == config.QuotaRequired && d.Quota == admin.NoQuota:
		is.cause, is.says = QuotaMissing, "quota is required, but "+cmp.Or(d.WhyAdvisory, "its filesystem has none")
	case d.AvailableBytes < v.asked() && d.State != admin.NoNewVolumes:
		is.cause, is.says = PoolFull, fmt.Sprintf("it has room for %s, %s is asked for: %s too little", config.FormatSize(d.AvailableBytes), config.FormatSize(v.asked()), config.FormatSize(v.asked()-d.AvailableBytes))
	case d.State == admin.CordonedOff:
		is.cause, is.says = DiskCordoned, cmp.Or(d.Cordoned, d.Message)
	case d.State == admin.NoNewVolumes:
		is.cause, is.says = DiskReadOnly, d.Message
	}
	return is
}

func (o onNode) String() string {
	where := "node " + o.node
	if o.at != "" {
		where += ", disk " + o.at
	}
	return where + ": " + oneLine(o.says)
}

// hindersClaim says why no node takes a claim that is to be bound.
func (v *view) hindersClaim() hindrance {
	var candidates, others []onNode
	_, excluded := v.unscheduled()
	for _, node := range v.nodeNames() {
		is := v.lookAt(node)
		why := v.excluded(node)
		if why == "" {
			candidates = append(candidates, is)
			continue
		}
		if is.cause == "" && is.known {
			is.says = fmt.Sprintf("it has room for %s, but %s", config.FormatSize(is.room), why)
			others = append(others, is)
		}
	}
	if slices.ContainsFunc(candidates, func(o onNode) bool { return o.cause == "" && o.known }) {
		return hindrance{fits: true}
	}
	bad := slices.DeleteFunc(slices.Clone(candidates), func(o onNode) bool { return o.cause == "" })
	told := v.told()
	if len(bad) == 0 || told.cause != "" && !slices.ContainsFunc(bad, func(o onNode) bool { return o.sure }) {
		if told.cause == "" && strings.Contains(excluded, noRoomWords) {
			return v.fullByScheduler(excluded)
		}
		return told
	}
	worst := slices.MinFunc(bad, byDominance)
	h := hindrance{cause: worst.cause}
	h.likely = !worst.sure || len(bad) < len(candidates) || !v.saw(Nodes)
	slices.SortFunc(bad, byDominance)
	for _, each := range bad {
		h.evidence = append(h.evidence, each.String())
	}
	for _, each := range others {
		h.evidence = append(h.evidence, "it would fit elsewhere: "+each.String())
	}
	h.evidence = append(h.evidence, v.otherPools(candidates)...)
	if excluded != "" {
		h.evidence = append(h.evidence, "the scheduler: "+oneLine(excluded))
	} else if e := v.refusal(); e != nil {
		h.evidence = append(h.evidence, saysOf(e))
	}
	h.words(v, worst)
	return h
}

// excluded says why a node is out of the question, whatever room it has.
func (v *view) excluded(node string) string {
	if selected := v.Object.Annotations[selectedNode]; selected != "" && node != selected {
		return "node " + selected + " was chosen"
	}
	for _, p := range v.pods {
		if tied := v.ties(p); len(tied) > 0 && tied[node] == "" {
			for other, claim := range tied {
				return fmt.Sprintf("claim %s of the pod is on node %s", claim, other)
			}
		}
	}
	return v.excludedBySelf(node)
}

// excludedBySelf is excluded without what other claims of the pods have to do with it.
func (v *view) excludedBySelf(node string) string {
	for _, p := range v.pods {
		if why := v.excludes(p, node); why != "" {
			return why
		}
	}
	if !v.allows(node) {
		return "the class's allowedTopologies exclude it"
	}
	return ""
}

// allows reports whether the class's allowedTopologies have the node.
func (v *view) allows(node string) bool {
	if v.Class == nil || len(v.Class.AllowedTopologies) == 0 {
		return true
	}
	for _, term := range v.Class.AllowedTopologies {
		if slices.ContainsFunc(term.MatchLabelExpressions, func(e corev1.TopologySelectorLabelRequirement) bool {
			return e.Key == v.Driver+"/node" && slices.Contains(e.Values, node)
		}) {
			return true
		}
	}
	return false
}

// ties returns the nodes that other claims of a pod are bound to, each with a claim.
func (v *view) ties(p *corev1.Pod) map[string]string {
	tied := map[string]string{}
	names := ClaimsOf(p)
	for _, c := range slices.Concat(v.Claims, v.Others) {
		if c.Name == v.Name || !slices.Contains(names, c.Name) || c.Object == nil || c.Volume == nil || c.Object.Spec.VolumeName == "" || !pv.Is(c.Volume, v.Driver) {
			continue
		}
		if node := pv.Node(c.Volume, v.Driver); node != "" {
			tied[node] = c.Name
		}
	}
	return tied
}

// otherPools says which other pools of these nodes would have room.
func (v *view) otherPools(candidates []onNode) (found []string) {
	class := v.class()
	for _, c := range candidates {
		a := v.answer(c.node)
		if a == nil {
			continue
		}
		for _, d := range a.Disks.Disks {
			if d.Pool != class.Pool && v.lookAtDisk(c.node, d, class).cause == "" {
				found = append(found, fmt.Sprintf("it would fit elsewhere: node %s, pool %s has room for %s", c.node, d.Pool, config.FormatSize(d.AvailableBytes)))
			}
		}
	}
	return found
}

// tiedElsewhere: Kubernetes binds the claims of a pod one by one, and takes none back.
func tiedElsewhere(v *view) *finding {
	for _, p := range v.pods {
		if p.Spec.NodeName != "" {
			continue
		}
		tied := v.ties(p)
		if place := v.place(); v.isBound() && place != "" {
			tied[place] = v.Name
		}
		if len(tied) > 1 {
			f := &finding{
				says: fmt.Sprintf("claims of pod %s are on different nodes, so it can run on none", p.Name),
				next: fmt.Sprintf("delete the claim that holds nothing, or may lose it, and the pod: kubectl -n %s delete pvc CLAIM; kubectl -n %s delete pod %s", v.Namespace, v.Namespace, p.Name),
			}
			for node, claim := range tied {
				f.evidence = append(f.evidence, fmt.Sprintf("claim %s is on node %s", claim, node))
			}
			slices.Sort(f.evidence)
			return f
		}
		if v.isPending() {
			if f := v.tiedTo(p, tied); f != nil {
				return f
			}
		}
	}
	return nil
}

// tiedTo holds where the one node that the pod is tied to has no room, and another has.
func (v *view) tiedTo(p *corev1.Pod, tied map[string]string) *finding {
	for node, claim := range tied {
		here := v.lookAt(node)
		if here.cause == "" {
			return nil
		}
		f := &finding{
			says:     fmt.Sprintf("claim %s of pod %s is on node %s, which cannot take this claim", claim, p.Name, node),
			evidence: []string{fmt.Sprintf("claim %s is bound on node %s", claim, node), here.String()},
			next: fmt.Sprintf("make room on node %s; or, if nothing is in %s yet, let the scheduler place both anew: kubectl -n %s delete pvc %s; kubectl -n %s delete pod %s",
				node, claim, v.Namespace, claim, v.Namespace, p.Name),
			likely: !here.sure,
		}
		for _, other := range v.nodeNames() {
			if is := v.lookAt(other); other != node && is.cause == "" && is.known && v.excludedBySelf(other) == "" {
				f.evidence = append(f.evidence, fmt.Sprintf("node %s has room for %s", other, config.FormatSize(is.room)))
			}
		}
		if len(f.evidence) == 2 {
			return nil // it would fit nowhere else
		}
		return f
	}
	return nil
}

// poolNowhere holds of a claim that nobody uses yet, if all nodes say so.
func (v *view) poolNowhere() hindrance {
	if v.Class == nil || len(v.Answers) == 0 || !v.saw(NodePlugins, PluginPods) {
		return hindrance{}
	}
	pool := v.class().Pool
	known := []string{}
	for _, a := range v.Answers {
		for _, d := range a.Disks.Disks {
			if d.Pool == pool {
				return hindrance{}
			}
			known = append(known, d.Pool)
		}
	}
	slices.Sort(known)
	h := hindrance{cause: PoolUnknown}
	h.evidence = []string{fmt.Sprintf("StorageClass %s asks for pool %q", v.Class.Name, pool), fmt.Sprintf("the nodes have %s", cmp.Or(strings.Join(slices.Compact(known), ", "), "no pool"))}
	h.words(v, onNode{cause: PoolUnknown})
	return h
}

// fullByScheduler is what remains if nothing but the scheduler's message is to be had.
func (v *view) fullByScheduler(text string) hindrance {
	h := hindrance{cause: PoolFull}
	h.likely = true
	h.evidence = []string{"the scheduler: " + oneLine(text), "it may also be that no node has the pool, or that its disk is away: the scheduler sees no difference"}
	h.words(v, onNode{cause: PoolFull})
	return h
}

// told goes by what hostdir said last in an event, where no node could be asked.
func (v *view) told() hindrance {
	for _, e := range v.warnings() {
		cause := spokenOf(e.Message)
		if strings.Contains(e.Message, unregisteredWords) {
			cause = DriverNotRegistered
		}
		if cause == ResizeBeyondRoom || cause == Quarantined {
			return hindrance{} // they have finders of their own
		}
		if cause == "" {
			continue
		}
		h := hindrance{cause: cause}
		h.evidence = []string{saysOf(e)}
		h.likely = v.Now.Sub(LastSeen(e)) > retries
		h.words(v, onNode{cause: cause, node: v.place()})
		return h
	}
	return hindrance{}
}

// hindersVolume says why a volume that there is cannot be used.
func (v *view) hindersVolume() hindrance {
	node := v.place()
	is := onNode{node: node, known: true, sure: true}
	yes, known := v.registered(node)
	a := v.answer(node)
	switch {
	case node == "":
	case len(v.Plugins) > 0 && v.plugin(node) == nil:
		is.cause, is.says = DriverNotOnNode, "hostdir has no pod there"
	case known && !yes:
		is.cause, is.says = DriverNotRegistered, "kubelet there does not know the driver"
	case a != nil:
		is = v.diskOf(a)
	case v.isFine():
	default:
		return v.told()
	}
	if is.cause == "" {
		return hindrance{fits: true}
	}
	h := hindrance{cause: is.cause}
	h.evidence = []string{is.String(), fmt.Sprintf("PersistentVolume %s is on disk %s of this node", v.Volume.Name, pv.Disk(v.Volume))}
	if e := v.newestWarning(); e != nil {
		h.evidence = append(h.evidence, saysOf(e))
	}
	h.words(v, is)
	return h
}

// retries is within how long csi-provisioner and kubelet ask again, and are told again.
const retries = 6 * time.Minute

func (v *view) newestWarning() *corev1.Event {
	if found := v.warnings(); len(found) > 0 {
		return found[0]
	}
	return nil
}

// diskOf finds the volume's disk on its node. A disk that is not in use shows no UUID:
// then it is among those that cannot be used.
func (v *view) diskOf(a *Answer) onNode {
	is := onNode{node: a.Node, known: true, sure: true}
	var away []onNode
	class := v.class()
	for _, d := range a.Disks.Disks {
		if d.State != admin.Unusable {
			if d.UUID == pv.Disk(v.Volume) {
				is.at = d.Path
				return is
			}
			continue
		}
		disk := v.lookAtDisk(a.Node, d, class)
		if d.UUID == pv.Disk(v.Volume) {
			return disk
		}
		if v.Class == nil || d.Pool == class.Pool {
			away = append(away, disk)
		}
	}
	if len(away) > 0 {
		return slices.MinFunc(away, byDominance)
	}
	is.cause = DiskMissing
	is.says = "none of its disks is the volume's: that was moved, exchanged, or its path is not in the configuration any more"
	return is
}

// words says for people what hinders, and what to do.
func (h *hindrance) words(v *view, at onNode) {
	path, node := cmp.Or(at.at, "PATH"), cmp.Or(at.node, "NODE")
	disk := "the disk"
	if at.at != "" {
		disk = fmt.Sprintf("disk %s of node %s", at.at, at.node)
	} else if at.node != "" {
		disk = fmt.Sprintf("the disk on node %s", at.node)
	}
	accept := v.inPlugin(node, "disks accept "+path)
	room := "kubectl hostdir volumes -A --node " + node
	size := ""
	if v.asked() > 0 {
		size = " for " + config.FormatSize(v.asked())
	}
	switch h.cause {
	case DiskAbsent:
		h.says, h.next = disk+" is not mounted", fmt.Sprintf("mount it on node %s; nothing has to be restarted. %s", node, v.inPlugin(node, "disks"))
	case DiskExchanged:
		h.says, h.next = "another disk is in place of "+disk, "mount the right one; or, if this one is right: "+accept
	case DiskCopied:
		h.says, h.next = disk+" is a copy of another, or has one", "unmount the one that is not wanted; if this one is right: "+accept
	case DiskOwned:
		h.says, h.next = disk+" belongs to another hostdir", "give each hostdir a directory of its own; if the disk was moved here for good: "+accept
	case DiskFaulty:
		h.says, h.next = disk+" cannot be used", v.inPlugin(node, "disks")+"; docs/troubleshooting.md explains the message"
	case DiskUnresponsive:
		h.says, h.next = disk+" does not answer", fmt.Sprintf("look at the disk on node %s (dmesg); hostdir goes on by itself once it answers", node)
	case DiskStarting:
		h.says, h.next = disk+" is being read", "wait for some seconds, and ask again: it goes on by itself"
	case DiskMissing:
		h.says, h.next = fmt.Sprintf("the volume's disk is not on node %s any more", node), v.inPlugin(node, "disks")+"; bring the disk back, or see \"A disk is lost for good\" in docs/troubleshooting.md"
	case QuotaMissing:
		h.says, h.next = "the class requires quotas, and no disk of its pool has them", "mount a disk with quotas (docs/configuration.md, \"Sizes that hold\"), or use a class without quota: required. "+v.inPlugin(node, "disks")
	case DiskCordoned:
		h.says, h.next = disk+" is cordoned: it takes no new volumes", v.inPlugin(node, "disks uncordon "+path)
	case DiskReadOnly:
		h.says, h.next = disk+" takes no new volumes", v.inPlugin(node, "disks")
	case PoolFull:
		h.says, h.next = fmt.Sprintf("no disk has room%s in pool %q where the pod may run", size, v.class().Pool), "remove volumes that nobody needs, add a disk to the pool, or ask for less. "+room
	case DriverNotRegistered:
		h.says, h.next = fmt.Sprintf("kubelet on node %s does not know the driver %s", node, v.Driver), fmt.Sprintf("kubectl -n %s logs -l %s --field-selector spec.nodeName=%s -c hostdir; is the value kubeletDir right?", v.System, pluginLabels, node)
	case DriverNotOnNode:
		h.says, h.next = fmt.Sprintf("hostdir does not run on node %s", node), fmt.Sprintf("kubectl -n %s get daemonset,pods -o wide; its nodeSelector and tolerations say where it runs", v.System)
	case PoolUnknown:
		h.says, h.next = fmt.Sprintf("no node where the pod may run has a disk of a pool %q", v.class().Pool), fmt.Sprintf("add the pool to hostdir's configuration, mount its disks, or use a class of another pool: kubectl get storageclass %s -o yaml", v.className())
	case Quarantined, ResizeBeyondRoom: // they have words of their own
	}
}

const pluginLabels = "app.kubernetes.io/name=hostdir,app.kubernetes.io/component=node"

// provisionerDown: a node was chosen, and nobody there makes the volume.
func provisionerDown(v *view) *finding {
	if !v.isPending() {
		return nil
	}
	node := v.Object.Annotations[selectedNode]
	p := v.plugin(node)
	if node == "" || p == nil {
		return nil
	}
	for _, c := range p.Status.ContainerStatuses {
		if c.Ready || c.Name != "csi-provisioner" && c.Name != "hostdir" {
			continue
		}
		return &finding{
			says:     fmt.Sprintf("container %s of pod %s/%s does not run, so nobody makes the volume on node %s", c.Name, p.Namespace, p.Name, node),
			evidence: []string{fmt.Sprintf("the claim has the annotation %s=%s", selectedNode, node), fmt.Sprintf("container %s: %s", c.Name, stateOf(c))},
			next:     fmt.Sprintf("kubectl -n %s describe pod %s", p.Namespace, p.Name),
		}
	}
	return nil
}

func stateOf(c corev1.ContainerStatus) string {
	switch s := c.State; {
	case s.Waiting != nil:
		return oneLine(fmt.Sprintf("waiting, %s %s", s.Waiting.Reason, s.Waiting.Message))
	case s.Terminated != nil:
		return oneLine(fmt.Sprintf("terminated with %d, %s %s", s.Terminated.ExitCode, s.Terminated.Reason, s.Terminated.Message))
	}
	return fmt.Sprintf("not ready, restarted %d times", c.RestartCount)
}

// capacityStale: the scheduler goes by figures that are told once a minute.
func capacityStale(v *view) *finding {
	pod, text := v.unscheduled()
	if !v.isPending() || pod == nil || !strings.Contains(text, noRoomWords) && !strings.Contains(text, noDriverWords) || !v.hinders().fits {
		return nil
	}
	f := &finding{
		says:     "there is room, and the scheduler has not heard of it yet",
		evidence: []string{"the scheduler: " + oneLine(text)},
		next:     fmt.Sprintf("wait for a minute; if it stays, csi-provisioner does not tell: kubectl -n %s get csistoragecapacities", v.System),
	}
	for _, node := range v.nodeNames() {
		if is := v.lookAt(node); is.cause == "" && v.excluded(node) == "" && is.known {
			line := fmt.Sprintf("node %s has room for %s", node, config.FormatSize(is.room))
			if seen, known := v.roomSeen(v.className(), node); known {
				line += ", the scheduler knows of " + config.FormatSize(seen)
			} else if v.saw(Capacities) {
				line += ", and there is no CSIStorageCapacity of it"
			}
			f.evidence = append(f.evidence, line)
		}
	}
	return f
}
