package cli

import (
	"io"
	"os"

	"golang.org/x/term"
)

// onTerminal reports whether a person sees what is written there.
func onTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// hasColour reports whether lines may be coloured: on a terminal, unless the person
// does not want it (no-color.org).
func hasColour(w io.Writer) bool {
	return onTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// paint colours a line, where that is wanted.
func paint(colour bool, t tone, line string) string {
	if !colour || t == plain || line == "" {
		return line
	}
	return string(t) + line + reset
}
