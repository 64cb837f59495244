package cli

import (
	"context"
	"fmt"
	"io"
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
	err   error
}

// pause is how long a watch waits before it looks again.
const pause = 2 * time.Second

func (o *output) addWatch(flags *pflag.FlagSet) {
	flags.BoolVarP(&o.watch, "watch", "w", false, "go on, and show the lines that change")
}

// repeat shows a result, and if that is wanted what changes of it until the person
// ends it. A look that fails is told by whoever looks, and the next one may succeed.
func (o *output) repeat(ctx context.Context, w io.Writer, look func(context.Context) (shown, error)) error {
	if o.watch && o.format != "table" && o.format != "wide" {
		return fmt.Errorf("--watch shows lines of a table, and not --output=%s", o.format)
	}
	result, err := look(ctx)
	if err != nil {
		return err
	}
	if err := o.print(w, result.value, result.table); err != nil || !o.watch {
		if err != nil {
			return err
		}
		return result.err
	}
	last := result.table()
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
		now := result.table()
		if err := o.lines(w, now, now.changedSince(last)); err != nil {
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
