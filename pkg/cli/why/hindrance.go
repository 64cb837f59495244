package why

import (
	"cmp"
	"fmt"
	"strings"
	"time"

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
		case v.copies():
			h = v.hindersCopy()
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

// retries is within how long csi-provisioner and kubelet ask again, and are told again.
const retries = 6 * time.Minute

// told goes by what hostdir said last in an event, where no node could be asked.
func (v *view) told() hindrance {
	for _, e := range v.warnings() {
		cause := spokenOf(e.Message)
		if strings.Contains(e.Message, unregisteredWords) {
			cause = DriverNotRegistered
		}
		if strings.Contains(e.Message, otherNodeWords) {
			continue // it is passed on to the right one
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
		h.tell(v, onNode{cause: cause, node: v.place()})
		return h
	}
	return hindrance{}
}

// tell says for people what hinders, and what to do.
func (h *hindrance) tell(v *view, at onNode) {
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
		h.says, h.next = disk+" cannot be used", v.inPlugin(node, "disks")+"; docs/how-to/troubleshooting.md explains the message"
	case DiskUnresponsive:
		h.says, h.next = disk+" does not answer", fmt.Sprintf("look at the disk on node %s (dmesg); hostdir goes on by itself once it answers", node)
	case DiskStarting:
		h.says, h.next = disk+" is being read", "wait for some seconds, and ask again: it goes on by itself"
	case DiskMissing:
		what := "the volume"
		if v.copies() {
			what = v.Origin.String()
		}
		h.says, h.next = fmt.Sprintf("the disk that has %s is not on node %s any more", what, node), v.inPlugin(node, "disks")+"; bring the disk back, or see \"A disk is lost for good\" in docs/how-to/troubleshooting.md"
	case QuotaMissing:
		h.says, h.next = "the class requires quotas, and no disk of its pool has them", "mount a disk with quotas (docs/reference/configuration.md, \"Sizes that hold\"), or use a class without quota: required. "+v.inPlugin(node, "disks")
	case DiskCordoned:
		h.says, h.next = disk+" is cordoned: it takes no new volumes", v.inPlugin(node, "disks uncordon "+path)
	case DiskReadOnly:
		h.says, h.next = disk+" takes no new volumes", v.inPlugin(node, "disks")
	case PoolFull:
		h.says, h.next = fmt.Sprintf("no disk has room%s in pool %q where the pod may run", size, v.class().Pool), "remove volumes that nobody needs, add a disk to the pool, or ask for less. "+room
	case SourceNoRoom:
		h.says, h.next = fmt.Sprintf("only %s has what the claim begins as, and it has no room%s", disk, size), "remove volumes and snapshots there that nobody needs, or ask for less if the source has less. "+room+"; kubectl hostdir snapshots -A --node "+node
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
