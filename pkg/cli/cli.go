// Package cli is the plugin of kubectl: what hostdir has in a cluster, why a claim
// waits, and what mends it. It has the rights of the person who calls it and no
// server of its own: nodes are reached by exec into the node plugin's pods (node.go).
// Results go to standard output, talk to standard error.
package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// The exit statuses, the same for all commands.
const (
	// OK: it is done, and nothing is wrong.
	OK = 0
	// Wrong: something is wrong with what was looked at, or an order was refused.
	Wrong = 1
	// Unknown: it cannot be told, because something could not be asked, or the
	// command line makes no sense.
	Unknown = 2
)

// statusError ends the program with a status other than Unknown. What is wrong was
// said already if err is nil.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// wrong is an error that ends the program with Wrong.
func wrong(format string, args ...any) error {
	return &statusError{Wrong, fmt.Errorf(format, args...)}
}

// Run does what the arguments say and returns the program's exit status.
func Run(ctx context.Context, version string, streams genericiooptions.IOStreams, args []string) int {
	s := &session{IOStreams: streams, version: version, flags: genericclioptions.NewConfigFlags(true)}
	return s.run(ctx, args)
}

func (s *session) run(ctx context.Context, args []string) int {
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return OK
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(s.ErrOut, "Error:", text)
	}
	if with, ok := errors.AsType[*statusError](err); ok {
		return with.status
	}
	return Unknown
}

func newRoot(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-hostdir",
		Short: "See and mend hostdir's volumes",
		Long: `Without a command: one screen of what hostdir has in the cluster, and what is wrong.
The exit status is 0 if all is well, 1 if something is wrong, and 2 if it cannot be told.`,
		Version:       s.version,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl hostdir"},
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.ErrOut)
	s.addFlags(root.PersistentFlags())
	s.addOverview(root)
	root.AddCommand(
		newBrowse(s),
		newCheck(s),
		newDisks(s),
		newGiveUp(s),
		newImport(s),
		newPath(s),
		newPurge(s),
		newRebuild(s),
		newRelease(s),
		newRename(s),
		newReport(s),
		newResize(s),
		newShow(s),
		newSnapshots(s),
		newTrash(s),
		newUndelete(s),
		newVolumes(s),
		newWhy(s),
	)
	s.completeFlags(root)
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	return root
}
