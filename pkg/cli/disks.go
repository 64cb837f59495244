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
			return out.repeat(command.Context(), s, func(ctx context.Context) (shown, error) { return s.showDisks(ctx, node) })
		},
	}
	out.addFlags(command.Flags())
	out.addWatch(command.Flags())
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
func (s *session) showDisks(ctx context.Context, name string) (shown, error) {
	nodes, err := s.chosen(ctx, name)
	if err != nil {
		return shown{}, err
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
	result := shown{value: all, table: func() rows { return diskRows(all) }, err: unanswered(answers)}
	if result.err == nil && unusable > 0 {
		result.err = wrong("disks that cannot be used: %d", unusable)
	}
	return result, nil
}

func diskRows(all []nodeDisk) rows {
	r := rows{header: []string{"NODE", "POOL", "PATH", "STATE", "SIZE", "FREE", "ALLOCATED", "AVAILABLE", "VOLUMES", "QUOTA", "UUID", "MESSAGE"}, wide: 2}
	for _, d := range all {
		r.cells = append(r.cells, []string{
			d.Node, d.Pool, d.Path, string(d.State), size(d.SizeBytes), size(d.FreeBytes),
			config.FormatSize(d.AllocatedBytes), config.FormatSize(d.AvailableBytes), strconv.Itoa(d.Volumes), string(d.Quota), d.UUID, d.Message,
		})
		r.names = append(r.names, d.Node+":"+d.Path)
		r.tones = append(r.tones, diskTone(d))
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
