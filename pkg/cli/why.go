package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/cli/why"
)

func newWhy(s *session) *cobra.Command {
	var out output
	command := &cobra.Command{
		Use:   "why CLAIM|POD",
		Short: "Say why a claim is Pending, not mounted, not growing or not deleted",
		Long: `Say the one cause for which a claim or a pod waits, what shows it, and what to do next.

CLAIM, pvc/CLAIM, NAMESPACE/CLAIM, pod/POD or pod/NAMESPACE/POD. A plain name is a claim's, or if there is none a pod's.
The exit status is 0 if nothing is wrong, 1 if a cause was found, and 2 if it cannot be told.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completion(s.completeClaims).first(),
		RunE: func(command *cobra.Command, args []string) error {
			return s.why(command.Context(), args[0], &out)
		},
	}
	out.addFlags(command.Flags())
	return command
}

func (s *session) why(ctx context.Context, what string, out *output) error {
	subject, err := s.subject(what)
	if err != nil {
		return err
	}
	clients, err := s.client()
	if err != nil {
		return err
	}
	source := why.Source{Clients: clients, Dynamic: s.dynamic, System: s.system, Driver: s.driver, Ask: s.askWhy}
	world, err := source.Collect(ctx, subject)
	if err != nil {
		return err
	}
	cause := why.Diagnose(world)
	if out.format == "table" || out.format == "wide" {
		err = writeCause(s.Out, cause)
	} else {
		err = out.print(s.Out, cause, func() rows { return rows{names: []string{string(cause.Name)}} })
	}
	if err != nil {
		return err
	}
	return causeStatus(cause)
}

// subject reads a claim as people write it, or POD or NAMESPACE/POD behind "pod/".
func (s *session) subject(arg string) (why.Subject, error) {
	kind := ""
	switch before, name, two := strings.Cut(arg, "/"); {
	case two && (before == "pod" || before == "pods" || before == "po"):
		kind, arg = why.PodKind, name
	case two && (before == "pvc" || before == "persistentvolumeclaim"):
		kind = why.ClaimKind
	}
	ref, err := s.claimRef(arg)
	return why.Subject{Namespace: ref.Namespace, Name: ref.Name, Kind: kind}, err
}

// causeStatus is the exit status, as an error that was told already.
func causeStatus(c why.Cause) error {
	switch {
	case c.Fine() && c.Sure:
		return nil
	case c.Fine(), c.Name == why.NotFound, c.Name == why.Unexplained:
		return &statusError{status: Unknown}
	}
	return &statusError{status: Wrong}
}

// askWhy asks all nodes, or one.
func (s *session) askWhy(ctx context.Context, q why.Question) ([]why.Answer, []why.Unseen) {
	nodes, err := s.chosen(ctx, q.Node)
	if err != nil {
		return nil, []why.Unseen{{What: why.NodePlugins, Why: err.Error()}}
	}
	var found []why.Answer
	var unseen []why.Unseen
	for _, a := range askAll(ctx, nodes, patience, func(ctx context.Context, n *node) (why.Answer, error) { return n.askWhy(ctx, q) }) {
		if a.err != nil {
			unseen = append(unseen, why.Unseen{What: why.NodePlugins, Why: a.err.Error()})
		}
		if a.value.Node != "" {
			found = append(found, a.value)
		}
	}
	return found, unseen
}

// askWhy returns what a node has answered before an error.
func (n *node) askWhy(ctx context.Context, q why.Question) (why.Answer, error) {
	disks, err := n.plugin.Disks(ctx)
	if err != nil {
		return why.Answer{}, err
	}
	a := why.Answer{Node: n.name, Disks: disks}
	if slices.ContainsFunc(disks.Disks, func(d admin.Disk) bool { return slices.Contains(q.Disks, d.UUID) }) {
		snapshots, err := n.plugin.Snapshots(ctx)
		if err != nil {
			return a, err
		}
		a.Snapshots = &snapshots
	}
	if q.Node == "" {
		return a, nil
	}
	volumes, err := n.plugin.Volumes(ctx)
	if err != nil {
		return a, err
	}
	a.Volumes, a.Listed = volumes.Volumes, true
	check, err := n.plugin.Check(ctx)
	a.Findings = check.Findings
	return a, err
}

// writeCause writes for people.
func writeCause(w io.Writer, c why.Cause) error {
	var text strings.Builder
	about := c.Subject.String()
	if c.Claim != "" && about != "claim "+c.Claim {
		about += ", claim " + c.Claim
	}
	fmt.Fprintf(&text, "%s: %s\n%s.\n", about, c.Name, capital(c.Says))
	if !c.Sure {
		text.WriteString("That is what remains among what could be looked at.\n")
	}
	text.WriteByte('\n')
	for _, line := range c.Evidence {
		fmt.Fprintf(&text, "  - %s\n", line)
	}
	for _, u := range c.Unseen {
		fmt.Fprintf(&text, "  - %s\n", u)
	}
	fmt.Fprintf(&text, "\nNext: %s\n", c.Next)
	_, err := io.WriteString(w, text.String())
	return err
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
