package docs

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// A page is a page of docs with its blocks of commands.
type page struct {
	path   string
	lines  []string
	blocks []block
}

// A block is a block of code that holds commands.
type block struct {
	line     int // of its first command, from 1
	commands []command
	before   string // commands to run first, that readers do not see
	notRun   string // why it is not run, "" if it is
}

// A command is one, or all lines of a block that shows no output.
type command struct {
	text string
	// shows is whether the page shows what it prints: the lines from `from` to `to`.
	shows    bool
	from, to int // indices of page.lines
	indent   string
}

var (
	fence = regexp.MustCompile("^( *)```(\\w*)$")
	item  = regexp.MustCompile(`^( *)(?:[-*]|\d+\.) +`)
	// marker is a comment about the next block.
	marker = regexp.MustCompile(`(?s)^ *<!-- (not run|before):\s*(.*?)\s*-->$`)
	// fileStart begins a block that is a file, as YAML does.
	fileStart = regexp.MustCompile(`^(- )?[\w.-]+:( |$)`)
)

func readPage(path string) (*page, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &page{path: path, lines: strings.Split(string(text), "\n")}
	return p, p.parse()
}

// parse finds the blocks as Markdown does: fenced, or indented by four behind a blank
// line or a heading, more within lists.
func (p *page) parse() error {
	list := 0 // how far the text of the list's item is indented
	next := block{}
	for i := 0; i < len(p.lines); i++ {
		line := p.lines[i]
		indent := len(line) - len(strings.TrimLeft(line, " "))
		switch {
		case strings.TrimSpace(line) == "":
		case strings.HasPrefix(strings.TrimSpace(line), "<!--"):
			from := i
			for !strings.HasSuffix(p.lines[i], "-->") {
				if i++; i == len(p.lines) {
					return fmt.Errorf("%s:%d: the comment does not end", p.path, from+1)
				}
			}
			if m := marker.FindStringSubmatch(strings.Join(p.lines[from:i+1], "\n")); m != nil && m[1] == "before" {
				next.before = m[2]
			} else if m != nil {
				next.notRun = m[2]
			}
			if next.before == "" && next.notRun == "" {
				return fmt.Errorf("%s:%d: want <!-- not run: REASON --> or <!-- before: COMMANDS -->", p.path, from+1)
			}
		case fence.MatchString(line):
			m := fence.FindStringSubmatch(line)
			from := i + 1
			for i++; i < len(p.lines) && strings.TrimSpace(p.lines[i]) != "```"; i++ {
			}
			if i == len(p.lines) {
				return fmt.Errorf("%s:%d: the block does not end", p.path, from)
			}
			if err := p.add(&next, m[2], m[1], from, i); err != nil {
				return err
			}
		case indent >= list+4 && (i == 0 || p.lines[i-1] == "" || strings.HasPrefix(p.lines[i-1], "#")):
			from := i
			for i+1 < len(p.lines) && (p.lines[i+1] == "" || strings.HasPrefix(p.lines[i+1], line[:indent])) {
				i++
			}
			to := i + 1
			for p.lines[to-1] == "" {
				to--
			}
			if err := p.add(&next, "", line[:indent], from, to); err != nil {
				return err
			}
		default:
			if m := item.FindString(line); m != "" {
				list = len(m)
			} else if indent < list {
				list = 0
			}
			if next.before != "" || next.notRun != "" {
				return fmt.Errorf("%s:%d: a marker is before this line, not before a block of commands", p.path, i+1)
			}
		}
	}
	return nil
}

// add adds lines[from:to] as a block, if they are commands.
func (p *page) add(next *block, language, indent string, from, to int) error {
	b := *next
	*next = block{}
	b.line = from + 1
	if from == to {
		return fmt.Errorf("%s:%d: the block is empty", p.path, from)
	}
	first := strings.TrimPrefix(p.lines[from], indent)
	switch {
	case language == "yaml" || language == "" && fileStart.MatchString(first):
		if b.before != "" || b.notRun != "" {
			return fmt.Errorf("%s:%d: a marker is before a file, not before commands", p.path, b.line)
		}
		return nil
	case language == "console":
		var err error
		b.commands, err = p.session(indent, from, to)
		if err != nil {
			return err
		}
	default:
		var text []string
		for _, line := range p.lines[from:to] {
			text = append(text, strings.TrimPrefix(line, indent))
		}
		b.commands = []command{{text: strings.Join(text, "\n")}}
	}
	p.blocks = append(p.blocks, b)
	return nil
}

// session reads commands and what they print.
func (p *page) session(indent string, from, to int) (all []command, err error) {
	for i := from; i < to; {
		text, ok := strings.CutPrefix(p.lines[i], indent+"$ ")
		if !ok {
			return nil, fmt.Errorf("%s:%d: output stands before the first command", p.path, i+1)
		}
		for i++; strings.HasSuffix(text, `\`) && i < to; i++ {
			text += "\n" + strings.TrimPrefix(p.lines[i], indent)
		}
		c := command{text: text, shows: true, from: i, indent: indent}
		for i < to && !strings.HasPrefix(p.lines[i], indent+"$ ") {
			i++
		}
		c.to = i
		all = append(all, c)
	}
	return all, nil
}

// output is what the page shows of a command's.
func (p *page) output(c command) []string { return p.lines[c.from:c.to] }
