package cli

import (
	"context"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/hostdir/hostdir/pkg/admin"
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
	s.warnVersions(nodes)
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
