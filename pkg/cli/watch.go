package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// shown is a result: value for programs, the table for people, and what the command
// ends with once it is shown.
type shown struct {
	value any
	table func() rows
	// notes is talk for standard error.
	notes string
	err   error
}

// pause is how long a watch waits before it looks again.
const pause = 2 * time.Second

func (o *output) addWatch(flags *pflag.FlagSet) {
	flags.BoolVarP(&o.watch, "watch", "w", false, "go on, and show the lines that change")
}

// repeat shows a result, and if that is wanted what changes of it until the person
// ends it.
func (o *output) repeat(ctx context.Context, s *session, look func(context.Context) (shown, error)) error {
	if o.watch && o.format != "table" && o.format != "wide" {
		return fmt.Errorf("--watch shows lines of a table, and not --output=%s", o.format)
	}
	result, err := look(ctx)
	if err != nil {
		return err
	}
	fmt.Fprint(s.ErrOut, result.notes)
	if err := o.print(s.Out, result.value, result.table); err != nil || !o.watch {
		if err != nil {
			return err
		}
		return result.err
	}
	last, notes := result.table(), result.notes
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		result, err := look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if result.notes != notes {
			notes = result.notes
			fmt.Fprint(s.ErrOut, notes)
		}
		now := result.table()
		if err := o.lines(s.Out, now, now.changedSince(last)); err != nil {
			return err
		}
		last = now
	}
}

// changedSince are the rows that are new or otherwise, but for what passes by itself.
func (r rows) changedSince(before rows) []bool {
	lasting := func(cells []string) string {
		kept := slices.Clone(cells)
		for _, i := range r.passing {
			kept[i] = ""
		}
		return strings.Join(kept, "\t")
	}
	was := map[string]bool{}
	for i := range before.cells {
		was[before.names[i]+"\t"+lasting(before.cells[i])] = true
	}
	changed := make([]bool, len(r.cells))
	for i := range r.cells {
		changed[i] = !was[r.names[i]+"\t"+lasting(r.cells[i])]
	}
	return changed
}
