package restore

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostdir/hostdir/pkg/controller/notice"
)

// selectedNode names the node that is to make a claim's volume. The scheduler writes it
// for a pod, and leaves all other nodes alone once it is there; csi-provisioner removes
// it when its node refuses, so that the scheduler chooses again. With the value "" the
// scheduler finds no node for the claim's pods, and no provisioner begins.
const selectedNode = "volume.kubernetes.io/selected-node"

// world is what there is to know of one claim.
type world struct {
	now    time.Time
	claim  *corev1.PersistentVolumeClaim
	origin origin
	past   past
	// refusal is what the node said when it refused, if that was asked for.
	refusal *refusal
}

// past is what was done about a claim. It is not kept beyond the program: what is lost
// with it is how long a claim has to wait.
type past struct {
	uid types.UID
	// sent is the node that the claim is sent to, "" while it is sent nowhere; since is
	// when it was sent last.
	sent  string
	since time.Time
	// refusals is how often it came back, and next when it may be sent again.
	refusals int
	next     time.Time
	// looks is how often the source was looked at in vain.
	looks int
	// podsSeen says that pods were looked at since it was sent.
	podsSeen bool
}

// action is a write.
type action int

const (
	nothing action = iota
	send           // choose the node that has the data
	correct        // the same, in place of another one
	hold           // choose no node, and keep the scheduler from it
)

func (a action) String() string { return [...]string{"nothing", "send", "correct", "hold"}[a] }

// step is what to do about a claim.
type step struct {
	do     action
	notice *notice.Notice
	// again is when to look again, if nobody changes the claim.
	again time.Duration
	// needsRefusal asks for what the node said.
	needsRefusal bool
	past         past
}

const (
	// firstWait and longestWait bound how long a claim that its node refused waits; each
	// wait is twice the former one.
	firstWait   = time.Second
	longestWait = 5 * time.Minute
	// longestLook is how often at least a source is looked at that can be no volume yet.
	longestLook = 30 * time.Second
	// podsAfter is when a claim that was sent is looked at again: whoever made it has made
	// its pod by then.
	podsAfter = 2 * time.Second
	// longestStay is how often at least pods of a claim are looked at whose volume is
	// being made.
	longestStay = time.Minute
)

// backoff returns the n-th wait, counted from 1.
func backoff(n int, longest time.Duration) time.Duration {
	return min(firstWait<<min(n-1, 20), longest)
}

// decide returns what to do about an unbound claim that begins as a copy.
func decide(w *world) step {
	o, s := w.origin, step{past: w.past}
	selected, set := w.claim.Annotations[selectedNode]
	if o.never == "" && o.waits == "" && o.node != nil {
		return w.ready(selected, set)
	}
	s.past.looks++
	s.again = backoff(s.past.looks, longestLook)
	switch {
	case o.never != "":
		s.notice, s.again = w.refused(), backoff(s.past.looks, longestWait)
		return s
	case o.waits != "":
		s.notice = w.waiting()
	case o.nodeName != "":
		s.notice = w.nodeGone()
	default:
		// The scheduler may be lucky.
		s.notice = w.unknownNode()
		return s
	}
	// What its node has begun, it goes on with; what was sent to a node that is gone,
	// pkg/controller/nodeloss takes back.
	elsewhere := selected != "" && selected != o.nodeName && selected != w.past.sent
	if !set || elsewhere {
		s.do = hold
	}
	return s
}

// ready decides about a claim whose volume can be made, on a node that there is.
func (w *world) ready(selected string, set bool) step {
	s := step{past: w.past}
	s.past.looks = 0
	node := w.origin.node.Name
	if selected == node {
		// Its volume is being made.
		stay := w.now.Sub(s.past.since)
		s.again = min(max(stay, podsAfter), longestStay)
		if s.past.sent != node {
			s.past.sent, s.past.since, s.again = node, w.now, podsAfter
		}
		return s
	}
	if s.past.sent == node {
		// It was there, and was refused; the scheduler may have chosen another one since.
		// The first time it may have been another node that refused, which the scheduler
		// had chosen before: its provisioner takes back whatever is chosen by then.
		s.past.sent = ""
		s.past.refusals++
		s.past.next = w.now.Add(backoff(s.past.refusals, longestWait))
	}
	if wait := s.past.next.Sub(w.now); wait > 0 {
		s.again = wait
		switch {
		case !set || selected != "":
			s.do = hold
		case s.past.refusals > 1 && w.refusal == nil:
			s.needsRefusal = true
		case s.past.refusals > 1:
			s.notice = w.noRoom()
		}
		return s
	}
	s.do = send
	if selected != "" {
		s.do = correct
	}
	s.past.sent, s.past.since, s.past.podsSeen, s.again = node, w.now, false, podsAfter
	return s
}
