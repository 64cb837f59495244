package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
)

// Which nodes have room for a claim that is to be bound.

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
	QuotaMissing, DiskCordoned, DiskReadOnly, PoolFull, SourceNoRoom, DriverNotRegistered, DriverNotOnNode, PoolUnknown,
}

func byDominance(a, b onNode) int {
	return cmp.Or(cmp.Compare(slices.Index(dominance, a.cause), slices.Index(dominance, b.cause)), cmp.Compare(b.room, a.room), cmp.Compare(a.node, b.node))
}

// lookAt says whether a node could take the claim.
func (v *view) lookAt(node string) onNode {
	is := v.lookAtDriver(node)
	if is.cause != "" {
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
		if why := a.Disks.ConfigError; why != "" {
			is.says += "; its configuration is refused, and the last good one in force: " + why
		}
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

// lookAtDriver says whether hostdir is on a node.
func (v *view) lookAtDriver(node string) onNode {
	is := onNode{node: node, known: true, sure: true}
	if len(v.Plugins) > 0 && v.plugin(node) == nil {
		is.cause, is.says = DriverNotOnNode, "hostdir has no pod there"
	} else if yes, known := v.registered(node); known && !yes {
		is.cause, is.says = DriverNotRegistered, "kubelet there does not know the driver"
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
	h.evidence = some(h.evidence)
	var elsewhere []string
	for _, each := range others {
		elsewhere = append(elsewhere, "it would fit elsewhere: "+each.String())
	}
	h.evidence = append(h.evidence, some(append(elsewhere, v.otherPools(candidates)...))...)
	if excluded != "" {
		h.evidence = append(h.evidence, "the scheduler: "+oneLine(excluded))
	} else if e := v.refusal(); e != nil {
		h.evidence = append(h.evidence, saysOf(e))
	}
	h.tell(v, worst)
	return h
}

// some are as many lines as people read.
func some(lines []string) []string {
	const most = 8
	if more := len(lines) - most; more > 1 {
		lines = append(lines[:most:most], fmt.Sprintf("and %d more like these", more))
	}
	return lines
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

// poolNowhere holds of a claim that nobody uses yet, if all nodes say so.
func (v *view) poolNowhere() hindrance {
	if v.Class == nil || len(v.Answers) == 0 || !v.saw(NodePlugins, PluginPods) {
		return hindrance{}
	}
	pool := v.class().Pool
	var known, refused []string
	for _, a := range v.Answers {
		for _, d := range a.Disks.Disks {
			if d.Pool == pool {
				return hindrance{}
			}
			known = append(known, d.Pool)
		}
		if why := a.Disks.ConfigError; why != "" {
			refused = append(refused, fmt.Sprintf("node %s: its configuration is refused, and the last good one in force: %s", a.Node, oneLine(why)))
		}
	}
	slices.Sort(known)
	h := hindrance{cause: PoolUnknown}
	h.evidence = append(some(refused), fmt.Sprintf("StorageClass %s asks for pool %q", v.Class.Name, pool), fmt.Sprintf("the nodes have %s", cmp.Or(strings.Join(slices.Compact(known), ", "), "no pool")))
	h.tell(v, onNode{cause: PoolUnknown})
	return h
}

// fullByScheduler is what remains if nothing but the scheduler's message is to be had.
func (v *view) fullByScheduler(text string) hindrance {
	h := hindrance{cause: PoolFull}
	h.likely = true
	h.evidence = []string{"the scheduler: " + oneLine(text), "it may also be that no node has the pool, or that its disk is away: the scheduler sees no difference"}
	h.tell(v, onNode{cause: PoolFull})
	return h
}

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
	if strings.Contains(text, noDriverWords) && !strings.Contains(text, noRoomWords) {
		// It looks again when a CSINode appears, and not when a driver comes back to one.
		f.says = "there is room, and the scheduler has not looked again since hostdir was registered"
		f.next = fmt.Sprintf("wait for five minutes, or have it look at once: kubectl -n %s delete pod %s", pod.Namespace, pod.Name)
	}
	for _, node := range v.nodeNames() {
		if is := v.lookAt(node); is.cause == "" && v.excluded(node) == "" && is.known {
			f.likely = f.likely || !is.sure
			line := fmt.Sprintf("node %s has room for %s", node, config.FormatSize(is.room))
			if seen, known := v.roomSeen(v.className(), node); known {
				line += ", the scheduler knows of " + config.FormatSize(seen)
			} else if v.saw(Capacities) {
				line += ", and there is no CSIStorageCapacity of it"
			}
			f.evidence = append(f.evidence, line)
		}
	}
	f.evidence = some(f.evidence)
	return f
}
