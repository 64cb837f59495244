package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newPath(s *session) *cobra.Command {
	return &cobra.Command{
		Use:               "path CLAIM",
		Short:             "Print where a claim's data is: NODE:PATH",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completion(s.completeClaims).first(),
		RunE:              func(command *cobra.Command, args []string) error { return s.path(command.Context(), args[0]) },
	}
}

func (s *session) path(ctx context.Context, arg string) error {
	ref, err := s.claimRef(arg)
	if err != nil {
		return err
	}
	c, err := s.claimView(ctx, ref)
	if err != nil {
		return err
	}
	if err := c.bound(); err != nil {
		return err
	}
	c.ask(ctx, s)
	if c.Path == "" {
		c.unseen.write(s.ErrOut)
		return fmt.Errorf("where the data of claim %s is cannot be told", ref)
	}
	_, err = fmt.Fprintf(s.Out, "%s:%s\n", c.Node, c.Path)
	return err
}

// bound is nil if the claim has a volume.
func (c *claimView) bound() error {
	if c.object.Spec.VolumeName == "" || c.object.Status.Phase == "Pending" {
		return wrong("claim %s has no volume yet; kubectl hostdir why %s says what it waits for", c.name(), c.name())
	}
	return nil
}
