package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
)

// overview is all of hostdir in a cluster, as far as it could be looked at.
type overview struct {
	// Health is well, wrong or unknown.
	Health   string     `json:"health"`
	Nodes    int        `json:"nodes"`
	Volumes  int        `json:"volumes"`
	Disks    []nodeDisk `json:"disks"`
	Problems []problem  `json:"problems"`
	Unseen   unseen     `json:"unseen,omitempty"`
}

const (
	isWell    = "well"
	isWrong   = "wrong"
	isUnknown = "unknown"
)

func (s *session) addOverview(root *cobra.Command) {
	var out output
	out.addFlags(root.Flags())
	root.RunE = func(command *cobra.Command, _ []string) error { return s.showOverview(command.Context(), &out) }
}

func (s *session) showOverview(ctx context.Context, out *output) error {
	o, err := s.overview(ctx)
	if err != nil {
		return err
	}
	if out.format == "table" || out.format == "wide" {
		err = out.overview(s.Out, o)
	} else {
		err = out.print(s.Out, o, func() rows {
			var r rows
			for _, p := range o.Problems {
				r.names = append(r.names, p.About)
			}
			return r
		})
	}
	if err != nil {
		return err
	}
	switch o.Health {
	case isWell:
		return nil
	case isWrong:
		return &statusError{status: Wrong}
	}
	return &statusError{status: Unknown}
}

// nodeView is what a node's plugin answers.
type nodeView struct {
	disks   admin.Disks
	volumes []admin.Volume
}

func (n *node) view(ctx context.Context) (nodeView, error) {
	disks, err := n.plugin.Disks(ctx)
	if err != nil {
		return nodeView{}, err
	}
	volumes, err := n.plugin.Volumes(ctx)
	return nodeView{disks, volumes.Volumes}, err
}

// overview looks at all there is. What fails is noted in it.
func (s *session) overview(ctx context.Context) (*overview, error) {
	clients, err := s.client()
	if err != nil {
		return nil, err
	}
	o := &overview{Disks: []nodeDisk{}, Problems: []problem{}}
	registered := map[string]bool{}
	var deployments []appsv1.Deployment
	var registeredErr, deploymentsErr, nodesErr error
	var nodes []*node
	var answers []answer[nodeView]
	var all sync.WaitGroup
	all.Go(func() {
		registeredErr = each(ctx, pages(clients.StorageV1().CSINodes().List), func(n *storagev1.CSINode) {
			registered[n.Name] = slices.ContainsFunc(n.Spec.Drivers, func(d storagev1.CSINodeDriver) bool { return d.Name == s.driver })
		})
	})
	all.Go(func() {
		deploymentsErr = each(ctx, pages(clients.AppsV1().Deployments(s.system).List), func(d *appsv1.Deployment) { deployments = append(deployments, *d) })
	})
	all.Go(func() {
		if nodes, nodesErr = s.nodes(ctx); nodesErr == nil {
			answers = askAll(ctx, nodes, patience, func(ctx context.Context, n *node) (nodeView, error) { return n.view(ctx) })
		}
	})
	all.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o.Nodes = len(nodes)
	o.Unseen.add("hostdir's pods", nodesErr)
	o.Unseen.add("CSINodes", registeredErr)
	o.Unseen.add("hostdir-controller", deploymentsErr)
	for _, a := range answers {
		o.addPod(s, a.node, registeredErr == nil, registered[a.node.name])
		if a.err != nil {
			o.addSilence(s, a)
		}
		o.addNode(s, a.node.name, a.value)
	}
	if deploymentsErr == nil {
		o.addController(s, deployments)
	}
	switch {
	case len(o.Problems) > 0:
		o.Health = isWrong
	case len(o.Unseen) > 0:
		o.Health = isUnknown
	default:
		o.Health = isWell
	}
	return o, nil
}

// maxDisks is how many disks a screen shows: those with the least room.
const maxDisks = 20

// overview writes one screen for people.
func (o *output) overview(w io.Writer, v *overview) error {
	colour := hasColour(w)
	fmt.Fprintln(w, paint(colour, v.tone(), v.healthLine()))
	if len(v.Disks) > 0 {
		shown := slices.Clone(v.Disks)
		if o.format != "wide" && len(shown) > maxDisks {
			slices.SortStableFunc(shown, func(a, b nodeDisk) int { return cmp.Compare(roomLeft(a), roomLeft(b)) })
			shown = shown[:maxDisks]
		}
		fmt.Fprintln(w)
		if err := o.table(w, overviewRows(shown)); err != nil {
			return err
		}
		if more := len(v.Disks) - len(shown); more > 0 {
			fmt.Fprintf(w, "Disks with more room: %d (-o wide shows all)\n", more)
		}
	}
	for _, p := range v.Problems {
		fmt.Fprintf(w, "\n%s\n    %s\n", paint(colour, bad, p.About+": "+oneLine(p.Says)), p.Mend)
	}
	if len(v.Unseen) > 0 {
		fmt.Fprintln(w)
		v.Unseen.write(w)
	}
	return nil
}

func (v *overview) tone() tone {
	switch v.Health {
	case isWell:
		return good
	case isWrong:
		return bad
	}
	return warm
}

func (v *overview) healthLine() string {
	has := fmt.Sprintf("nodes: %d, disks: %d, volumes: %d", v.Nodes, len(v.Disks), v.Volumes)
	switch v.Health {
	case isWell:
		return "hostdir is well; " + has
	case isWrong:
		return fmt.Sprintf("hostdir has problems: %d; %s", len(v.Problems), has)
	}
	return "hostdir could not be looked at in full; " + has
}

// roomLeft is which part of a disk can still be given; less than that of any other if
// it cannot be used.
func roomLeft(d nodeDisk) float64 {
	if d.State != admin.Ready || d.SizeBytes == nil {
		return -1
	}
	return float64(d.AvailableBytes) / float64(max(1, *d.SizeBytes))
}

// diskBarCells is wide enough for three parts.
const diskBarCells = 20

func overviewRows(disks []nodeDisk) rows {
	r := rows{header: []string{"NODE", "POOL", "DISK", "STATE", "USED # PROMISED = FREE .", "USED", "PROMISED", "FREE", "VOLUMES", "QUOTA"}}
	for _, d := range disks {
		bar, used, promised, free, t := unknown, unknown, unknown, unknown, plain
		if d.SizeBytes != nil && d.FreeBytes != nil {
			holds := *d.SizeBytes - *d.FreeBytes
			kept := max(0, *d.FreeBytes-d.AvailableBytes)
			bar = drawBar(diskBarCells, *d.SizeBytes, holds, kept)
			used, promised, free = config.FormatSize(holds), config.FormatSize(kept), config.FormatSize(d.AvailableBytes)
			t = toneOf(1 - roomLeft(d))
		}
		if d.State != admin.Ready {
			t = bad
		}
		quota := string(d.Quota)
		if d.Quota == admin.NoQuota {
			quota = "advisory"
		}
		r.cells = append(r.cells, []string{d.Node, d.Pool, d.Path, string(d.State), bar, used, promised, free, fmt.Sprint(d.Volumes), quota})
		r.names = append(r.names, d.Node+":"+d.Path)
		r.tones = append(r.tones, t)
	}
	return r
}

// oneLine keeps what others chose from breaking the screen.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// addSilence notes a node that does not answer: that is wrong, unless the person just
// may not ask. Why a pod that is not ready does not answer is said already.
func (o *overview) addSilence(s *session, a answer[nodeView]) {
	if isForbidden(a.err) {
		o.Unseen.add("hostdir on the nodes", a.err)
		return
	}
	if !isReady(a.node.pod) {
		return
	}
	err := a.err
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // without the node's name, which is said before
	}
	o.wrong("node "+a.node.name, err.Error(), fmt.Sprintf("kubectl -n %s logs %s -c %s", s.system, a.node.pod.Name, container))
}

// addPod notes what Kubernetes says of hostdir on a node. A pod that is not ready is why
// kubelet does not know it.
func (o *overview) addPod(s *session, n *node, known, registered bool) {
	if !isReady(n.pod) {
		o.wrong("node "+n.name, fmt.Sprintf("hostdir's pod %s is not ready: %s", n.pod.Name, podWords(n.pod)), fmt.Sprintf("kubectl -n %s describe pod %s", s.system, n.pod.Name))
	} else if known && !registered {
		o.wrong("node "+n.name, "kubelet does not know hostdir: the CSINode does not name "+s.driver+", and no pod with its volumes starts there",
			fmt.Sprintf("kubectl -n %s logs %s -c %s; deleting the pod lets it register anew", s.system, n.pod.Name, container))
	}
}

// podWords is why a pod is not ready.
func podWords(p *corev1.Pod) string {
	for _, c := range p.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil:
			return "container " + c.Name + ": " + c.State.Waiting.Reason
		case c.State.Terminated != nil:
			return "container " + c.Name + ": " + c.State.Terminated.Reason
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Message != "" {
			return c.Message
		}
	}
	return "it is " + cmp.Or(string(p.Status.Phase), "Pending")
}

// addController notes that nobody does what is done once for the cluster.
func (o *overview) addController(s *session, deployments []appsv1.Deployment) {
	for _, d := range deployments {
		if d.Name != "hostdir-controller" || d.Spec.Replicas != nil && *d.Spec.Replicas == 0 || d.Status.AvailableReplicas > 0 {
			continue
		}
		o.wrong("hostdir-controller", "none of its pods is available: claims do not grow, lost nodes are not noticed, and claims bind more slowly",
			fmt.Sprintf("kubectl -n %s describe deployment %s", s.system, d.Name))
	}
}
