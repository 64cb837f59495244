package why

import "slices"

// Name is a cause in one word. The words stay: scripts go by them. Each is explained
// in docs/reference/why.md.
type Name string

const (
	// NotFound: there is neither such a claim nor such a pod.
	NotFound Name = "NotFound"
	// NoClaim: the pod uses no claim.
	NoClaim Name = "NoClaim"
	// ClaimMissing: the pod names a claim that is not there.
	ClaimMissing Name = "ClaimMissing"

	// ClaimInUse: a deleted claim stays as long as pods use it.
	ClaimInUse Name = "ClaimInUse"
	// HeldForReuse: a deleted claim waits until its volume is reserved.
	HeldForReuse Name = "HeldForReuse"
	// HeldByFinalizer: a deleted claim waits for a finalizer of somebody else.
	HeldByFinalizer Name = "HeldByFinalizer"

	// NoClass: the claim names no class, and no class is the default.
	NoClass Name = "NoClass"
	// ClassMissing: the claim's class does not exist.
	ClassMissing Name = "ClassMissing"
	// NotHostdir: the claim is not hostdir's.
	NotHostdir Name = "NotHostdir"
	// AccessMode: the claim asks for ReadWriteMany or ReadOnlyMany.
	AccessMode Name = "AccessMode"
	// BlockMode: the claim asks for a block device.
	BlockMode Name = "BlockMode"
	// InvalidParameter: the class has a parameter that hostdir does not know, or refuses.
	InvalidParameter Name = "InvalidParameter"
	// SourceForeign: what the claim begins as a copy of is not hostdir's.
	SourceForeign Name = "SourceForeign"
	// SourceLarger: it is larger than the claim.
	SourceLarger Name = "SourceLarger"
	// SourcePool: it is on a disk of another pool than the claim's class.
	SourcePool Name = "SourcePool"
	// InvalidRequest: the claim asks for something else that hostdir does not have.
	InvalidRequest Name = "InvalidRequest"

	// Importing: the volume is being imported.
	Importing Name = "Importing"
	// VolumeLost: the PersistentVolume of the claim is gone.
	VolumeLost Name = "VolumeLost"
	// SourceMissing: what the claim begins as a copy of is not there.
	SourceMissing Name = "SourceMissing"
	// SourceNotReady: it is being made, or its making fails.
	SourceNotReady Name = "SourceNotReady"
	// SourceNodeUnknown: nobody knows which node has it.
	SourceNodeUnknown Name = "SourceNodeUnknown"
	// NotInstalled: hostdir is not in the cluster.
	NotInstalled Name = "NotInstalled"
	// NodeNameSet: the pod passes by the scheduler, which never chooses its claim's node.
	NodeNameSet Name = "NodeNameSet"
	// NodeLost: the node of the volume is gone.
	NodeLost Name = "NodeLost"
	// NodeNotReady: the node of the volume does not answer Kubernetes.
	NodeNotReady Name = "NodeNotReady"
	// SourceElsewhere: the pod cannot run on the node that has what its claim begins as.
	SourceElsewhere Name = "SourceElsewhere"
	// Copying: the files are being copied.
	Copying Name = "Copying"
	// TiedElsewhere: another claim of the pod ties it to a node that has no room.
	TiedElsewhere Name = "TiedElsewhere"
	// PoolUnknown: no node on which the pod may run has a disk of the class's pool.
	PoolUnknown Name = "PoolUnknown"
	// NoPod: no pod uses the claim, and it is bound for the first that does.
	NoPod Name = "NoPod"
	// WaitsForReserved: a volume is kept for the claim, which does not have it yet.
	WaitsForReserved Name = "WaitsForReserved"
	// NodeCordoned: the node of the volume takes no pods.
	NodeCordoned Name = "NodeCordoned"
	// PodMisplaced: the pod is on another node than its volume.
	PodMisplaced Name = "PodMisplaced"
	// PodUnschedulable: the scheduler finds no node, for a reason that is not storage.
	PodUnschedulable Name = "PodUnschedulable"

	// Quarantined: the volume's record cannot be used.
	Quarantined Name = "Quarantined"
	// DataMissing: the disk is there, the volume's directory is not.
	DataMissing Name = "DataMissing"
	// DiskAbsent: the disk is not mounted.
	DiskAbsent Name = "DiskAbsent"
	// DiskExchanged: another disk is in its place.
	DiskExchanged Name = "DiskExchanged"
	// DiskCopied: it is a copy, or there is one.
	DiskCopied Name = "DiskCopied"
	// DiskOwned: another hostdir uses it, or did last.
	DiskOwned Name = "DiskOwned"
	// DiskFaulty: it cannot be used for another reason.
	DiskFaulty Name = "DiskFaulty"
	// DiskUnresponsive: it does not answer.
	DiskUnresponsive Name = "DiskUnresponsive"
	// DiskStarting: it has just come, and is being read.
	DiskStarting Name = "DiskStarting"
	// DiskMissing: no disk of the node is the one that has the volume.
	DiskMissing Name = "DiskMissing"
	// QuotaMissing: the class requires quotas that no disk has.
	QuotaMissing Name = "QuotaMissing"
	// DiskCordoned: it takes no new volumes because somebody wants that.
	DiskCordoned Name = "DiskCordoned"
	// DiskReadOnly: it is read-only, or has no free inodes.
	DiskReadOnly Name = "DiskReadOnly"
	// PoolFull: no disk has room for the claim.
	PoolFull Name = "PoolFull"
	// SourceNoRoom: the one disk that has what the claim begins as has no room for it.
	SourceNoRoom Name = "SourceNoRoom"
	// DriverNotRegistered: kubelet of the node does not know the driver.
	DriverNotRegistered Name = "DriverNotRegistered"
	// DriverNotOnNode: hostdir does not run on the node.
	DriverNotOnNode Name = "DriverNotOnNode"
	// ProvisionerDown: csi-provisioner of the node does not run.
	ProvisionerDown Name = "ProvisionerDown"
	// CapacityStale: there is room, of which the scheduler has not heard.
	CapacityStale Name = "CapacityStale"

	// ResizeForbidden: the class does not allow volumes to grow.
	ResizeForbidden Name = "ResizeForbidden"
	// ResizeBeyondRoom: the disk cannot give as much as is asked for.
	ResizeBeyondRoom Name = "ResizeBeyondRoom"
	// ResizerDown: csi-resizer does not run.
	ResizerDown Name = "ResizerDown"
	// ResizeNeedsPod: a volume grows when a pod uses it.
	ResizeNeedsPod Name = "ResizeNeedsPod"

	// VolumeInUse: a volume is not deleted because it is mounted.
	VolumeInUse Name = "VolumeInUse"
	// DeletionFails: a volume is not deleted for another reason.
	DeletionFails Name = "DeletionFails"
	// MountFails: kubelet cannot mount the volume for another reason.
	MountFails Name = "MountFails"
	// ContainerWaits: the volumes are mounted, and a container waits for something else.
	ContainerWaits Name = "ContainerWaits"
	// UnderWay: it has just begun, and nothing has failed.
	UnderWay Name = "UnderWay"
	// Unexplained: none of the others.
	Unexplained Name = "Unexplained"

	// Reserved: the claim is gone, and its volume is kept for the next of its name.
	Reserved Name = "Reserved"
	// Retained: the claim is gone, and its volume stays, as its policy says.
	Retained Name = "Retained"
	// NothingWrong: all is as it should be.
	NothingWrong Name = "NothingWrong"
)

// causes are all that there are. The first that is found is the one: faults of what
// was asked for stand before those of the cluster, what has hit a whole node before
// what has hit a disk, and what leaves no doubt before what remains.
var causes = []struct {
	name Name
	find func(*view) *finding
}{
	{NotFound, notFound},
	{NoClaim, noClaim},
	{ClaimMissing, claimMissing},

	{ClaimInUse, claimInUse},
	{HeldForReuse, heldForReuse},
	{HeldByFinalizer, heldByFinalizer},

	{NoClass, noClass},
	{ClassMissing, classMissing},
	{NotHostdir, notHostdir},
	{AccessMode, accessMode},
	{BlockMode, blockMode},
	{InvalidParameter, invalidParameter},
	{SourceForeign, sourceForeign},
	{SourceLarger, sourceLarger},
	{SourcePool, sourcePool},
	{InvalidRequest, invalidRequest},

	{Importing, importing},
	{VolumeLost, volumeLost},
	{SourceMissing, sourceMissing},
	{SourceNotReady, sourceNotReady},
	{SourceNodeUnknown, sourceNodeUnknown},
	{NodeLost, nodeLost},
	{NotInstalled, notInstalled},
	{NodeNameSet, nodeNameSet},
	{NodeNotReady, nodeNotReady},
	{SourceElsewhere, sourceElsewhere},
	{Copying, copying},
	{TiedElsewhere, tiedElsewhere},
	{PoolUnknown, hindered(PoolUnknown)},
	{NoPod, noPod},
	{WaitsForReserved, waitsForReserved},
	{NodeCordoned, nodeCordoned},
	{PodMisplaced, podMisplaced},
	{PodUnschedulable, podUnschedulable},

	{Quarantined, quarantined},
	{DataMissing, dataMissing},
	{DiskAbsent, hindered(DiskAbsent)},
	{DiskExchanged, hindered(DiskExchanged)},
	{DiskCopied, hindered(DiskCopied)},
	{DiskOwned, hindered(DiskOwned)},
	{DiskFaulty, hindered(DiskFaulty)},
	{DiskUnresponsive, hindered(DiskUnresponsive)},
	{DiskStarting, hindered(DiskStarting)},
	{DiskMissing, hindered(DiskMissing)},
	{QuotaMissing, hindered(QuotaMissing)},
	{DiskCordoned, hindered(DiskCordoned)},
	{DiskReadOnly, hindered(DiskReadOnly)},
	{PoolFull, hindered(PoolFull)},
	{SourceNoRoom, hindered(SourceNoRoom)},
	{DriverNotRegistered, hindered(DriverNotRegistered)},
	{DriverNotOnNode, hindered(DriverNotOnNode)},
	{ProvisionerDown, provisionerDown},
	{CapacityStale, capacityStale},

	{ResizeForbidden, resizeForbidden},
	{ResizeBeyondRoom, resizeBeyondRoom},
	{ResizerDown, resizerDown},
	{ResizeNeedsPod, resizeNeedsPod},

	{VolumeInUse, volumeInUse},
	{DeletionFails, deletionFails},
	{MountFails, mountFails},
	{ContainerWaits, containerWaits},
	{UnderWay, underWay},
	{Unexplained, unexplained},

	{Reserved, reservedForNext},
	{Retained, retained},
	{NothingWrong, nothingWrong},
}

// fine are the causes with which nothing is wrong.
var fine = []Name{Reserved, Retained, NothingWrong}

// Cause is the answer: the one cause.
type Cause struct {
	Subject Subject `json:"subject"`
	Name    Name    `json:"cause"`
	// Claim is the one it is about, of several that a pod has, as NAMESPACE/NAME.
	Claim string `json:"claim,omitempty"`
	// Says is a sentence for people.
	Says string `json:"says"`
	// Sure is false if it is what remains among what could be looked at.
	Sure bool `json:"sure"`
	// Evidence is what was seen, a line for each.
	Evidence []string `json:"evidence"`
	// Next is the next command, or what else to do.
	Next string `json:"next"`
	// Unseen is what could not be looked at.
	Unseen []Unseen `json:"unseen,omitempty"`
}

// Fine reports whether nothing is wrong.
func (c Cause) Fine() bool { return slices.Contains(fine, c.Name) }

// finding is what holds for a cause.
type finding struct {
	says     string
	evidence []string
	next     string
	// likely says that not all could be looked at that this depends on.
	likely bool
}

// Diagnose returns the one cause.
func Diagnose(w *World) Cause {
	views := w.views()
	for _, c := range causes {
		for _, v := range views {
			if f := c.find(v); f != nil {
				return w.cause(c.name, v, f)
			}
		}
	}
	panic("why: the last cause of the table always holds")
}

func (w *World) cause(name Name, v *view, f *finding) Cause {
	c := Cause{Subject: w.Subject, Name: name, Says: f.says, Sure: !f.likely, Evidence: f.evidence, Next: f.next, Unseen: w.Unseen}
	if v.Name != "" {
		c.Claim = v.Namespace + "/" + v.Name
	}
	return c
}
