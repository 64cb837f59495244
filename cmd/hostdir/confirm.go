package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// errNotConfirmed ends an order that nobody has said yes to.
var errNotConfirmed = errors.New("nothing was changed: not confirmed; pass --yes, or use `kubectl exec -it` to answer")

// confirm shows a plan and asks whether to go on. No answer is a no.
func (c *call) confirm(plan string, in io.Reader, out io.Writer) error {
	fmt.Fprintln(out, plan)
	if c.yes {
		return nil
	}
	fmt.Fprint(out, "Go on? [y/N] ")
	line, _ := bufio.NewReader(in).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	if line == "" {
		fmt.Fprintln(out)
	}
	return errNotConfirmed
}
