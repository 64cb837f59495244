// Command screenshots draws a session at a terminal as a picture: it reads the text,
// with its colours as ANSI escapes, and writes SVG. The same text gives the same
// bytes.
//
//	screenshots -title 'kubectl hostdir' -run 'kubectl hostdir disks' > docs/images/disks.svg
//	script -qec 'kubectl hostdir' /dev/null | screenshots > docs/images/overview.svg
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// columnsShown is how wide a terminal a command is given.
const columnsShown = 120

// commands are those to run, in their order.
type commands []string

func (c *commands) String() string         { return strings.Join(*c, "; ") }
func (c *commands) Set(value string) error { *c = append(*c, value); return nil }

func main() {
	var run commands
	title := flag.String("title", "", "what the window is called")
	flag.Var(&run, "run", "a shell command to show with its output, instead of standard input; may be given several times")
	flag.Parse()
	text, err := session(run)
	if err == nil {
		_, err = io.WriteString(os.Stdout, draw(*title, parse(text)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

// session returns what a person sees who gives the commands, or standard input if
// there are none. A command may fail: that something is wrong is worth showing too.
func session(run commands) (string, error) {
	if len(run) == 0 {
		text, err := io.ReadAll(os.Stdin)
		return string(text), err
	}
	var text strings.Builder
	for i, line := range run {
		if i > 0 {
			text.WriteByte('\n')
		}
		fmt.Fprintf(&text, "\x1b[1m$ %s\x1b[0m\n", line)
		// script(1) gives it a terminal, so that it shows colours.
		command := exec.Command("script", "-qec", fmt.Sprintf("stty cols %d; %s", columnsShown, line), "/dev/null")
		command.Stdout, command.Stderr = &text, &text
		if err := command.Run(); err != nil && command.ProcessState == nil {
			return "", err
		}
	}
	return text.String(), nil
}
