package why

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// What is the matter with the disk of a volume that there is.

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
		is = v.diskOf(a, pv.Disk(v.Volume))
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
	h.tell(v, is)
	return h
}

func (v *view) newestWarning() *corev1.Event {
	if found := v.warnings(); len(found) > 0 {
		return found[0]
	}
	return nil
}

// diskOf finds the disk of a UUID on its node, and says what is wrong with it. A disk that is not in use shows no UUID:
// then it is among those that cannot be used.
func (v *view) diskOf(a *Answer, uuid string) onNode {
	is := onNode{node: a.Node, known: true, sure: true}
	var away []onNode
	class := v.class()
	for _, d := range a.Disks.Disks {
		if d.State != admin.Unusable {
			if d.UUID == uuid {
				is.at = d.Path
				return is
			}
			continue
		}
		disk := v.lookAtDisk(a.Node, d, class)
		if d.UUID == uuid {
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
	is.says = "none of its disks is the right one: that was moved, exchanged, or its path is not in the configuration any more"
	return is
}
