package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostdir/hostdir/pkg/admin"
)

// shellPatience is how long a person waits for a completion.
const shellPatience = 3 * time.Second

// completion names what an argument or a flag can be. What it cannot look at it leaves
// out: there is no place for an error on the command line.
type completion func(ctx context.Context) []string

// completeFlags completes the flags that mean the same for all commands.
func (s *session) completeFlags(command *cobra.Command) {
	for name, complete := range map[string]cobra.CompletionFunc{
		"node":   completion(s.completeNodes).cobra(),
		"pool":   completion(s.completePools).cobra(),
		"output": cobra.FixedCompletions([]string{"table", "wide", "json", "yaml", "name"}, cobra.ShellCompDirectiveNoFileComp),
	} {
		if command.Flags().Lookup(name) == nil {
			continue
		}
		if err := command.RegisterFlagCompletionFunc(name, complete); err != nil {
			panic(err) // two completions for one flag
		}
	}
	if parent := command.Parent(); parent != nil && parent.Name() == "disks" && command.ValidArgsFunction == nil {
		command.ValidArgsFunction = completion(s.completeDisks).first()
	}
	for _, c := range command.Commands() {
		s.completeFlags(c)
	}
}

func (c completion) cobra() cobra.CompletionFunc {
	return func(command *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(command.Context(), shellPatience)
		defer cancel()
		names := slices.DeleteFunc(c(ctx), func(name string) bool { return !strings.HasPrefix(name, begun) })
		slices.Sort(names)
		return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
	}
}

// first completes the first argument only.
func (c completion) first() cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.cobra()(command, args, begun)
	}
}

// completeClaims names the claims of the namespace.
func (s *session) completeClaims(ctx context.Context) []string {
	clients, err := s.client()
	if err != nil {
		return nil
	}
	namespace, err := s.namespace()
	if err != nil {
		return nil
	}
	list, err := clients.CoreV1().PersistentVolumeClaims(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var names []string
	for _, c := range list.Items {
		names = append(names, c.Name)
	}
	return names
}

// completeNodes names the nodes that hostdir has a pod on.
func (s *session) completeNodes(ctx context.Context) []string {
	nodes, err := s.nodes(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, n := range nodes {
		names = append(names, n.name)
	}
	return names
}

// completePools names the pools.
func (s *session) completePools(ctx context.Context) []string {
	return s.ofDisks(ctx, func(_ *node, d admin.Disk) string { return d.Pool })
}

// completeDisks names disks as NODE:PATH.
func (s *session) completeDisks(ctx context.Context) []string {
	return s.ofDisks(ctx, func(n *node, d admin.Disk) string { return n.name + ":" + d.Path })
}

func (s *session) ofDisks(ctx context.Context, name func(*node, admin.Disk) string) []string {
	nodes, err := s.nodes(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, a := range askAll(ctx, nodes, shellPatience, func(ctx context.Context, n *node) (admin.Disks, error) { return n.plugin.Disks(ctx) }) {
		for _, d := range a.value.Disks {
			names = append(names, name(a.node, d))
		}
	}
	return names
}
