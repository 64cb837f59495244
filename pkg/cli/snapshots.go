package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
)

// nodeSnapshot is a snapshot and the node that has it today.
type nodeSnapshot struct {
	Node string `json:"node"`
	admin.Snapshot
}

// snapshotsQuery is which snapshots are shown, and in which order.
type snapshotsQuery struct {
	allNamespaces    bool
	node, pool, sort string
}

func newSnapshots(s *session) *cobra.Command {
	var out output
	var query snapshotsQuery
	command := &cobra.Command{
		Use:   "snapshots",
		Short: "Show the snapshots of a namespace: where they are, what they hold, how they were made",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return out.repeat(command.Context(), s, func(ctx context.Context) (shown, error) { return s.showSnapshots(ctx, query) })
		},
	}
	flags := command.Flags()
	out.addFlags(flags)
	out.addWatch(flags)
	flags.BoolVarP(&query.allNamespaces, "all-namespaces", "A", false, "of all namespaces, and those of which it is not known whose they are")
	flags.StringVar(&query.node, "node", "", "only on this node")
	flags.StringVar(&query.pool, "pool", "", "only of this pool")
	flags.StringVar(&query.sort, "sort", "snapshot", "by what: "+strings.Join(orderNames(snapshotOrders), ", "))
	command.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(orderNames(snapshotOrders), cobra.ShellCompDirectiveNoFileComp))
	return command
}

var snapshotOrders = []order[nodeSnapshot]{
	{"snapshot", func(a, b nodeSnapshot) int { return 0 }},
	{"claim", func(a, b nodeSnapshot) int { return cmp.Compare(a.claim(), b.claim()) }},
	{"node", func(a, b nodeSnapshot) int { return cmp.Compare(a.Node, b.Node) }},
	{"pool", func(a, b nodeSnapshot) int { return cmp.Compare(a.Pool, b.Pool) }},
	{"holds", func(a, b nodeSnapshot) int { return cmp.Compare(b.Bytes, a.Bytes) }},
	{"alone", func(a, b nodeSnapshot) int { return cmp.Compare(b.alone(), a.alone()) }},
	{"age", func(a, b nodeSnapshot) int { return compareTimes(a.Created, b.Created) }},
}

func (s nodeSnapshot) claim() string {
	if s.Claim == nil {
		return ""
	}
	return s.Claim.String()
}

// alone is -1 if it is not known.
func (s nodeSnapshot) alone() int64 {
	if s.AloneBytes == nil {
		return -1
	}
	return *s.AloneBytes
}

// holds is known once it is made.
func (s nodeSnapshot) holds() string {
	if !s.Ready {
		return unknown
	}
	return config.FormatSize(s.Bytes)
}

// namespace is that of its VolumeSnapshot, or else of the claim that it was made of.
func (s nodeSnapshot) namespace() string {
	switch {
	case s.VolumeSnapshot != nil:
		return s.VolumeSnapshot.Namespace
	case s.Claim != nil:
		return s.Claim.Namespace
	}
	return ""
}

// showSnapshots collects what the query asks for.
func (s *session) showSnapshots(ctx context.Context, q snapshotsQuery) (shown, error) {
	by, err := orderOf(snapshotOrders, q.sort)
	if err != nil {
		return shown{}, err
	}
	namespace := ""
	if !q.allNamespaces {
		if namespace, err = s.namespace(); err != nil {
			return shown{}, err
		}
	}
	nodes, err := s.chosen(ctx, q.node)
	if err != nil {
		return shown{}, err
	}
	answers := askAll(ctx, nodes, patience, func(ctx context.Context, n *node) (admin.Snapshots, error) { return n.plugin.Snapshots(ctx) })
	s.warnVersions(nodes)
	all := []nodeSnapshot{}
	for _, a := range answers {
		for _, each := range a.value.Snapshots {
			found := nodeSnapshot{a.node.name, each}
			if (q.allNamespaces || found.namespace() == namespace) && (q.pool == "" || each.Pool == q.pool) {
				all = append(all, found)
			}
		}
	}
	slices.SortFunc(all, func(a, b nodeSnapshot) int {
		return cmp.Or(by.compare(a, b), cmp.Compare(a.String(), b.String()), cmp.Compare(a.ID, b.ID))
	})
	result := shown{value: all, table: func() rows { return snapshotRows(all, q.allNamespaces, time.Now()) }, err: unanswered(answers)}
	if len(all) == 0 {
		result.notes = "No snapshots of hostdir found\n"
	}
	return result, nil
}

func snapshotRows(all []nodeSnapshot, namespaces bool, now time.Time) rows {
	r := rows{
		header:  []string{"SNAPSHOT", "CLAIM", "NODE", "POOL", "HOLDS", "ALONE", "METHOD", "CONSISTENCY", "AGE", "READY", "SIZE", "CONTENT", "PATH", "MESSAGE"},
		wide:    4,
		passing: []int{8},
	}
	for _, s := range all {
		name, claim, capacity := s.String(), s.claim(), unknown
		if !namespaces && s.VolumeSnapshot != nil {
			name = s.VolumeSnapshot.Name
		}
		if !namespaces && s.Claim != nil && s.Claim.Namespace == s.namespace() {
			claim = s.Claim.Name
		}
		if s.CapacityBytes > 0 {
			capacity = config.FormatSize(s.CapacityBytes)
		}
		tone := noTone
		switch {
		case s.Quarantine != "":
			tone = badTone
		case !s.Ready:
			tone = warmTone
		}
		r.cells = append(r.cells, []string{
			name, claim, s.Node, s.Pool, s.holds(), size(s.AloneBytes), s.Method, s.Consistency, age(s.Created, now), s.State(),
			capacity, s.Content, s.Path, s.Quarantine,
		})
		r.tones = append(r.tones, tone)
		r.names = append(r.names, s.String())
	}
	return r
}
