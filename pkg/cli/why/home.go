package why

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// Whether the one disk that has what a claim begins as can take the claim.

// home returns the node that has what the claim begins as, and its disk if that is in use
// there; "" and nil if they are not known. What nodes say counts more than labels.
func (v *view) home() (node string, disk *admin.Disk) {
	o := v.Origin
	if o == nil {
		return "", nil
	}
	if uuid := o.disk(); uuid != "" {
		for i := range v.Answers {
			for j := range v.Answers[i].Disks.Disks {
				if d := &v.Answers[i].Disks.Disks[j]; d.UUID == uuid {
					return v.Answers[i].Node, d
				}
			}
		}
	}
	switch {
	case o.Content != nil:
		return o.Content.Node, nil
	case o.Volume != nil && pv.Is(o.Volume, v.Driver):
		return pv.Node(o.Volume, v.Driver), nil
	}
	return "", nil
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
