package cli

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// consent is how a person agrees to what an order will do.
type consent struct {
	yes, dryRun bool
}

func (c *consent) addFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&c.yes, "yes", false, "do it without asking")
	flags.BoolVar(&c.dryRun, "dry-run", false, "say what would be done, and do nothing")
}

var errDeclined = errors.New("nothing was done")

// ask shows what will be done, on standard error, and reports whether to do it. A
// person who declines gets an error: whoever waits for the order is not to go on.
func (c *consent) ask(s *session, plan string) (bool, error) {
	fmt.Fprintln(s.ErrOut, plan)
	switch {
	case c.dryRun:
		return false, nil
	case c.yes:
		return true, nil
	}
	fmt.Fprint(s.ErrOut, "Do it? [y/N] ")
	answer, err := bufio.NewReader(s.In).ReadString('\n')
	if answer == "" && err != nil {
		return false, fmt.Errorf("%w: nobody answers; --yes is the answer beforehand", errDeclined)
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return false, &statusError{Wrong, errDeclined}
	}
	return true, nil
}
