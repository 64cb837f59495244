package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
)

// nodeDisk is a disk and the node that has it.
type nodeDisk struct {
	Node string `json:"node"`
	admin.Disk
}

func newDisks(s *session) *cobra.Command {
	var out output
	var node string
	command := &cobra.Command{
		Use:   "disks",
		Short: "Show the disks of all nodes, their state and their room; decide about one",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return s.showDisks(command.Context(), node, &out)
		},
	}
	out.addFlags(command.Flags())
	command.Flags().StringVar(&node, "node", "", "only of this node")
	command.AddCommand(newDiskOrders(s)...)
	return command
}

// chosen returns the nodes that the person means, with "" all of them.
func (s *session) chosen(ctx context.Context, name string) ([]*node, error) {
	if name == "" {
		return s.nodes(ctx)
	}
	n, err := s.node(ctx, name)
	return []*node{n}, err
}

// showDisks shows what is known, and fails if there is more.
func (s *session) showDisks(ctx context.Context, name string, out *output) error {
	nodes, err := s.chosen(ctx, name)
	if err != nil {
		return err
	}
	answers := askAll(ctx, nodes, patience, func(ctx context.Context, n *node) (admin.Disks, error) { return n.plugin.Disks(ctx) })
	s.warnVersions(nodes)
	all, unusable := []nodeDisk{}, 0
	for _, a := range answers {
		for _, d := range a.value.Disks {
			all = append(all, nodeDisk{a.node.name, d})
			if d.State == admin.Unusable {
				unusable++
			}
		}
	}
	if err := out.print(s.Out, all, func() rows { return diskRows(all) }); err != nil {
		return err
	}
	if err := unanswered(answers); err != nil {
		return err
	}
	if unusable > 0 {
		return wrong("disks that cannot be used: %d", unusable)
	}
	return nil
}

func diskRows(all []nodeDisk) rows {
	r := rows{header: []string{"NODE", "POOL", "PATH", "STATE", "SIZE", "FREE", "ALLOCATED", "AVAILABLE", "VOLUMES", "QUOTA", "UUID", "MESSAGE"}, wide: 2}
	for _, d := range all {
		r.cells = append(r.cells, []string{
			d.Node, d.Pool, d.Path, string(d.State), size(d.SizeBytes), size(d.FreeBytes),
			config.FormatSize(d.AllocatedBytes), config.FormatSize(d.AvailableBytes), strconv.Itoa(d.Volumes), string(d.Quota), d.UUID, d.Message,
		})
		r.names = append(r.names, d.Node+":"+d.Path)
	}
	return r
}

// size writes a size that may not be known.
func size(n *int64) string {
	if n == nil {
		return unknown
	}
	return config.FormatSize(*n)
}
