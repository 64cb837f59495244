package cli

import (
	"io"
	"os"
	"time"

	"golang.org/x/term"
	"k8s.io/client-go/tools/remotecommand"
)

// isTerminal reports whether a person sees what is written there.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// hasColour reports whether lines may be coloured: on a terminal, unless the person
// does not want it (no-color.org).
func hasColour(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// paint colours a line, where that is wanted.
func paint(colour bool, t tone, line string) string {
	if !colour || t == noTone || line == "" {
		return line
	}
	return string(t) + line + toneEnd
}

// terminalSize tells the size of the person's terminal when it changes. It looks, which
// all systems can.
type terminalSize struct {
	fd   int
	last remotecommand.TerminalSize
	done chan struct{}
}

const sizePause = 250 * time.Millisecond

// Next waits for another size, and returns nil when the session is over.
func (t *terminalSize) Next() *remotecommand.TerminalSize {
	for {
		width, height, err := term.GetSize(t.fd)
		if now := (remotecommand.TerminalSize{Width: uint16(width), Height: uint16(height)}); err == nil && now != t.last {
			t.last = now
			return &now
		}
		select {
		case <-t.done:
			return nil
		case <-time.After(sizePause):
		}
	}
}

// rawTerminal hands the person's terminal, if there is one, to a program elsewhere: keys
// such as Ctrl-C go there. Restore gives it back.
func (s *session) rawTerminal() (size *terminalSize, restore func(), err error) {
	in, ok := s.In.(*os.File)
	if !ok || !isTerminal(in) || !isTerminal(s.Out) {
		return nil, func() {}, nil
	}
	fd := int(in.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, nil, err
	}
	size = &terminalSize{fd: fd, done: make(chan struct{})}
	return size, func() {
		close(size.done)
		term.Restore(fd, before)
	}, nil
}
