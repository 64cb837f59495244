package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostdir/hostdir/pkg/admin"
)

// checkPatience is for nodes with many volumes on slow disks.
const checkPatience = 10 * time.Minute

// nodeCheck is what a check of a node has found.
type nodeCheck struct {
	Node string `json:"node"`
	admin.Check
}

// checkOrder is how the command was called.
type checkOrder struct {
	node   string
	repair bool
	consent
	output
}

func newCheck(s *session) *cobra.Command {
	var order checkOrder
	command := &cobra.Command{
		Use:   "check",
		Short: "Look on all nodes for what is wrong with disks and volumes, and say what to do",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if !order.repair && (order.yes || order.dryRun) {
				return errors.New("--yes and --dry-run are about --repair, and mean nothing without it")
			}
			return s.check(command.Context(), &order)
		},
	}
	flags := command.Flags()
	order.output.addFlags(flags)
	order.consent.addFlags(flags)
	flags.BoolVar(&order.repair, "repair", false, "show what is safe to fix, ask, and fix it")
	flags.StringVar(&order.node, "node", "", "only on this node")
	return command
}

// check fails, after it has shown all, if anything is wrong or a node was not asked.
func (s *session) check(ctx context.Context, order *checkOrder) error {
	nodes, err := s.chosen(ctx, order.node)
	if err != nil {
		return err
	}
	answers := askAll(ctx, nodes, checkPatience, func(ctx context.Context, n *node) (admin.Check, error) { return n.plugin.Check(ctx) })
	s.warnVersions(nodes)
	if order.repair {
		if err := s.repair(ctx, answers, &order.consent); err != nil {
			return err
		}
	}
	all := []nodeCheck{}
	for _, a := range answers {
		if a.err == nil {
			all = append(all, nodeCheck{a.node.name, a.value})
		}
	}
	if order.format == "table" {
		err = writeChecks(s, all)
	} else {
		err = order.print(s.Out, all, func() rows { return findingRows(all) })
	}
	if err != nil {
		return err
	}
	if err := unanswered(answers); err != nil {
		return err
	}
	var verdicts []error
	for _, c := range all {
		if err := c.Verdict(); err != nil {
			verdicts = append(verdicts, fmt.Errorf("node %s: %w", c.Node, err))
		}
	}
	if len(verdicts) > 0 {
		return &statusError{Wrong, errors.Join(verdicts...)}
	}
	return nil
}

// repair has the nodes fix what can be fixed, once the person agrees, and puts their
// answers in the place of what they found before.
func (s *session) repair(ctx context.Context, answers []answer[admin.Check], consent *consent) error {
	var sick []*node
	var plans []string
	at := map[*node]int{}
	for i, a := range answers {
		if len(a.value.Repairable()) > 0 {
			sick, at[a.node] = append(sick, a.node), i
			plans = append(plans, fmt.Sprintf("Node %s. %s", a.node.name, a.value.Plan()))
		}
	}
	if len(sick) == 0 {
		return nil
	}
	if do, err := consent.ask(s, strings.Join(plans, "\n")); !do {
		return err
	}
	for _, a := range askAll(ctx, sick, checkPatience, func(ctx context.Context, n *node) (admin.Check, error) { return n.plugin.Repair(ctx) }) {
		answers[at[a.node]] = a
	}
	return nil
}

// writeChecks writes for people.
func writeChecks(s *session, all []nodeCheck) error {
	for i, c := range all {
		if i > 0 {
			fmt.Fprintln(s.Out)
		}
		fmt.Fprintf(s.Out, "Node %s\n", c.Node)
		if err := c.WriteText(s.Out); err != nil {
			return err
		}
	}
	return nil
}

func findingRows(all []nodeCheck) rows {
	r := rows{header: []string{"NODE", "KIND", "PATH", "VOLUME", "CLAIM", "REPAIRABLE", "PROBLEM", "REMEDY"}}
	for _, c := range all {
		for _, f := range c.Findings {
			r.cells = append(r.cells, []string{c.Node, f.Kind, f.Path, f.VolumeID, f.Claim.String(), fmt.Sprint(f.Repairable), f.Problem, f.Remedy})
			r.names = append(r.names, c.Node+":"+f.Path)
		}
	}
	return r
}
