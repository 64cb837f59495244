package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostdir/hostdir/pkg/admin"
)

// diskOrder is about one disk of one node.
type diskOrder struct {
	node string
	consent
}

const diskPath = "PATH is the disk's path, or NODE:PATH if several nodes have a disk there."

// newDiskOrders are what a person can decide about a disk.
func newDiskOrders(s *session) []*cobra.Command {
	return []*cobra.Command{
		newDiskOrder(s, "init", "Make a new disk of an empty directory where another disk was", func(ctx context.Context, o *diskOrder, n *node, path string) error {
			return s.actOnDisk(ctx, admin.InitDisk, o, n, path)
		}),
		newDiskOrder(s, "accept", "Use the disk that is at a path now: an exchanged one, or one of several copies", func(ctx context.Context, o *diskOrder, n *node, path string) error {
			return s.actOnDisk(ctx, admin.AcceptDisk, o, n, path)
		}),
		newDiskOrder(s, "cordon", "Let a disk take no new volumes; all else goes on", func(ctx context.Context, o *diskOrder, n *node, path string) error {
			return s.cordon(ctx, true, o, n, path)
		}),
		newDiskOrder(s, "uncordon", "Let a disk take new volumes again", func(ctx context.Context, o *diskOrder, n *node, path string) error {
			return s.cordon(ctx, false, o, n, path)
		}),
	}
}

func newDiskOrder(s *session, name, short string, give func(context.Context, *diskOrder, *node, string) error) *cobra.Command {
	var order diskOrder
	command := &cobra.Command{
		Use:   name + " PATH",
		Short: short,
		Long:  short + ".\n\n" + diskPath,
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			n, path, err := s.diskRef(command.Context(), args[0], order.node)
			if err != nil {
				return err
			}
			return give(command.Context(), &order, n, path)
		},
	}
	order.addFlags(command.Flags())
	command.Flags().StringVar(&order.node, "node", "", "the node that has the disk")
	return command
}

// diskRef reads a disk as people write it: NODE:PATH, or PATH of the one node that
// has a disk there.
func (s *session) diskRef(ctx context.Context, arg, name string) (*node, string, error) {
	if before, path, two := strings.Cut(arg, ":"); two && !strings.HasPrefix(arg, "/") {
		if name != "" && name != before {
			return nil, "", fmt.Errorf("%s is on node %s, and --node says %s", arg, before, name)
		}
		name, arg = before, path
	}
	if name != "" {
		n, err := s.node(ctx, name)
		return n, arg, err
	}
	nodes, err := s.nodes(ctx)
	if err != nil {
		return nil, "", err
	}
	answers := askAll(ctx, nodes, patience, func(ctx context.Context, n *node) (admin.Disks, error) { return n.plugin.Disks(ctx) })
	s.warnVersions(nodes)
	if err := unanswered(answers); err != nil {
		return nil, "", errors.Join(err, errors.New("a node that does not answer may have the disk that you mean: name it as NODE:PATH"))
	}
	var found []*node
	for _, a := range answers {
		for _, d := range a.value.Disks {
			if d.Path == arg {
				found = append(found, a.node)
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, "", wrong("no node has a disk at %q: `kubectl hostdir disks` lists them", arg)
	case 1:
		return found[0], arg, nil
	}
	return nil, "", wrong("%d nodes have a disk at %s: %s; name the one that you mean, as %s:%s", len(found), arg, someOf(namesOf(found)), found[0].name, arg)
}

func (s *session) actOnDisk(ctx context.Context, action admin.DiskOrder, order *diskOrder, n *node, path string) error {
	plan, err := n.plugin.PlanDiskAction(ctx, action, path)
	if err != nil {
		return n.ordered(err)
	}
	if do, err := order.ask(s, "node "+n.name+": "+plan.String()); !do {
		return err
	}
	done, err := n.plugin.Act(ctx, action, plan)
	if err != nil {
		return n.ordered(err)
	}
	fmt.Fprintf(s.Out, "node %s: %s\n", n.name, done)
	if err := done.Err(); err != nil {
		return &statusError{Wrong, err}
	}
	return nil
}

func (s *session) cordon(ctx context.Context, on bool, order *diskOrder, n *node, path string) error {
	plan := fmt.Sprintf("node %s: disk %s takes new volumes again", n.name, path)
	if on {
		plan = fmt.Sprintf("node %s: disk %s takes no new volumes; those that it has stay, and `kubectl hostdir disks uncordon` takes it back", n.name, path)
	}
	if do, err := order.ask(s, plan); !do {
		return err
	}
	now, err := n.plugin.Cordon(ctx, path, on)
	if err != nil {
		return n.ordered(err)
	}
	if !on && now.Why != "" {
		return wrong("node %s: %s: %s", n.name, path, now)
	}
	fmt.Fprintf(s.Out, "node %s: %s: %s\n", n.name, path, now)
	return nil
}
