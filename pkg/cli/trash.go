package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
)

// deleted is a deleted volume and the node that has it.
type deleted struct {
	Node string `json:"node"`
	admin.DeletedVolume
}

func newTrash(s *session) *cobra.Command {
	var out output
	var node string
	command := &cobra.Command{
		Use:   "trash",
		Short: "Show the deleted volumes whose files are still there, of all nodes",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return s.showTrash(command.Context(), node, &out)
		},
	}
	out.addFlags(command.Flags())
	command.Flags().StringVar(&node, "node", "", "only of this node")
	return command
}

// showTrash shows what is known, and fails if there is more.
func (s *session) showTrash(ctx context.Context, name string, out *output) error {
	nodes, err := s.chosen(ctx, name)
	if err != nil {
		return err
	}
	answers := s.askTrash(ctx, nodes)
	all := []deleted{}
	for _, a := range answers {
		for _, v := range a.value.Volumes {
			all = append(all, deleted{a.node.name, v})
		}
	}
	if err := out.print(s.Out, all, func() rows { return deletedRows(all, time.Now()) }); err != nil {
		return err
	}
	return unanswered(answers)
}

func (s *session) askTrash(ctx context.Context, nodes []*node) []answer[admin.Trash] {
	answers := askAll(ctx, nodes, patience, func(ctx context.Context, n *node) (admin.Trash, error) { return n.plugin.Trash(ctx) })
	s.warnVersions(nodes)
	return answers
}

func deletedRows(all []deleted, now time.Time) rows {
	r := rows{header: append([]string{"NODE"}, admin.TrashHeader...), wide: 1}
	r.header = append(r.header, "MESSAGE")
	for _, v := range all {
		cells := append([]string{v.Node}, v.Cells(now)...)
		r.cells = append(r.cells, append(cells, v.PurgeError))
		r.names = append(r.names, v.Node+":"+v.Entry)
	}
	return r
}

func newUndelete(s *session) *cobra.Command {
	var consent consent
	var node string
	command := &cobra.Command{
		Use:   "undelete VOLUME",
		Short: "Bring a deleted volume back",
		Long:  "Bring a deleted volume back, on the node that has it.\n\n" + volumeInTrash,
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return s.undelete(command.Context(), args[0], node, &consent)
		},
	}
	consent.addFlags(command.Flags())
	command.Flags().StringVar(&node, "node", "", "the node that has it (default: the one on which it is found)")
	return command
}

const volumeInTrash = "VOLUME is what `kubectl hostdir trash` shows: the volume's name or ID, its entry, or the claim that it was made for as NAMESPACE/NAME."

func (s *session) undelete(ctx context.Context, ref, name string, consent *consent) error {
	n, v, _, err := s.findDeleted(ctx, ref, name)
	if err != nil {
		return err
	}
	plan := fmt.Sprintf("%s\nIt comes back with its data and its size; Kubernetes knows of it when a PersistentVolume is made for it.", v)
	if do, err := consent.ask(s, plan); !do {
		return err
	}
	back, err := n.plugin.Undelete(ctx, v.Entry)
	if err != nil {
		return n.ordered(err)
	}
	for _, warning := range back.Warnings {
		fmt.Fprintln(s.ErrOut, "Warning:", warning)
	}
	fmt.Fprintf(s.Out, "volume %s is back on node %s at %s\n", back.ID, n.name, back.Path)
	fmt.Fprintf(s.ErrOut, "Look at its PersistentVolume, which Kubernetes needs to know of it, and apply it:\n    kubectl -n %s exec %s -c %s -- /hostdir volumes pv %s > pv.yaml\n    kubectl apply -f pv.yaml\n",
		n.pod.Namespace, n.pod.Name, container, back.ID)
	return nil
}

func newPurge(s *session) *cobra.Command {
	var consent consent
	var node string
	command := &cobra.Command{
		Use:   "purge VOLUME",
		Short: "Remove a deleted volume before its time, for good",
		Long:  "Remove a deleted volume before its time, for good, on the node that has it.\n\n" + volumeInTrash,
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return s.purge(command.Context(), args[0], node, &consent)
		},
	}
	consent.addFlags(command.Flags())
	command.Flags().StringVar(&node, "node", "", "the node that has it (default: the one on which it is found)")
	return command
}

func (s *session) purge(ctx context.Context, ref, name string, consent *consent) error {
	n, v, trash, err := s.findDeleted(ctx, ref, name)
	if err != nil {
		return err
	}
	if do, err := consent.ask(s, v.String()+"\n"+trash.PurgePlan(v.Entry)); !do {
		return err
	}
	// The entry is this volume's alone: one that was deleted meanwhile is not meant.
	gone, err := n.plugin.Purge(ctx, v.Entry)
	if err != nil {
		return n.ordered(err)
	}
	fmt.Fprintf(s.Out, "being removed on node %s: %s\n", n.name, gone.Path)
	return nil
}

// findDeleted finds the one deleted volume that is meant, with its node and what
// else is in the trash there. It fails if it cannot tell which one that is: a node
// that does not answer may have another one of the name.
func (s *session) findDeleted(ctx context.Context, ref, name string) (*node, deleted, admin.Trash, error) {
	fail := func(err error) (*node, deleted, admin.Trash, error) { return nil, deleted{}, admin.Trash{}, err }
	nodes, err := s.chosen(ctx, name)
	if err != nil {
		return fail(err)
	}
	answers := s.askTrash(ctx, nodes)
	var n *node
	var trash admin.Trash
	var found []deleted
	for _, a := range answers {
		for _, v := range a.value.Find(ref) {
			n, trash, found = a.node, a.value, append(found, deleted{a.node.name, v})
		}
	}
	if err := unanswered(answers); err != nil {
		return fail(errors.Join(err, errors.New("a node that does not answer may have what you mean: name the node that has it with --node")))
	}
	switch len(found) {
	case 0:
		return fail(wrong("no deleted volume %q is in the trash of %s: `kubectl hostdir trash` lists them; one that is being removed is not to be had any more", ref, someOf(namesOf(nodes))))
	case 1:
		return n, found[0], trash, nil
	}
	var entries []string
	for _, v := range found {
		entries = append(entries, v.Node+": "+v.Entry)
	}
	return fail(wrong("%q is the name of %d deleted volumes; name the entry of the one that is meant: %s", ref, len(found), strings.Join(entries, ", ")))
}

func namesOf(nodes []*node) []string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.name
	}
	return names
}

// String is what a person is asked about.
func (v deleted) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "node %s: %s\n", v.Node, v.Path)
	if v.ID == "" {
		text.WriteString("  its record cannot be read")
		return text.String()
	}
	fmt.Fprintf(&text, "  volume:    %s\n", v.ID)
	if v.Claim != nil {
		fmt.Fprintf(&text, "  made for:  claim %s\n", v.Claim)
	}
	if v.Deleted != nil {
		fmt.Fprintf(&text, "  deleted:   %s\n", v.Deleted.UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(&text, "  size:      %s", config.FormatSize(v.CapacityBytes))
	if v.UsedBytes != nil {
		fmt.Fprintf(&text, ", %s used", config.FormatSize(*v.UsedBytes))
	}
	return text.String()
}
