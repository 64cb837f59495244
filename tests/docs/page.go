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

// A block is a block of code that holds commands, or a file that a command reads.
type block struct {
	line     int // of its first command, from 1
	commands []command
	run      bool
	after    string // commands to run first, that readers do not see
	notRun   string // why it is not run
	file     string // the name of the file that the block is, "" if it holds commands
}

// marked reports whether something is said of the block.
func (b block) marked() bool { return b.run || b.notRun != "" || b.file != "" }

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
	marker = regexp.MustCompile(`(?s)^ *<!-- (?:(run)(?: after:\s*(\S.*?))?|not run:\s*(\S.*?)|file:\s*([\w.-]+))\s*-->$`)
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
			m := marker.FindStringSubmatch(strings.Join(p.lines[from:i+1], "\n"))
			if m == nil {
				return fmt.Errorf("%s:%d: want <!-- run -->, <!-- run after: COMMANDS -->, <!-- not run: REASON --> or <!-- file: NAME -->", p.path, from+1)
			}
			if next.marked() {
				return fmt.Errorf("%s:%d: there is a marker already", p.path, from+1)
			}
			next = block{run: m[1] != "", after: m[2], notRun: m[3], file: m[4]}
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
			if next.marked() {
				return fmt.Errorf("%s:%d: a marker is before this line, not before a block", p.path, i+1)
			}
		}
	}
	return nil
}

// add adds lines[from:to] as a block, if they are commands or a file with a name.
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
		if b.run || b.notRun != "" {
			return fmt.Errorf("%s:%d: the marker of commands is before a file", p.path, b.line)
		}
		if b.file == "" {
			return nil
		}
		b.commands = []command{{text: p.text(indent, from, to)}}
	case b.file != "":
		return fmt.Errorf("%s:%d: the marker of a file is before commands", p.path, b.line)
	case language == "console":
		var err error
		b.commands, err = p.session(indent, from, to)
		if err != nil {
			return err
		}
	default:
		b.commands = []command{{text: p.text(indent, from, to)}}
	}
	p.blocks = append(p.blocks, b)
	return nil
}

// text is lines[from:to] as a block that is indented so far.
func (p *page) text(indent string, from, to int) string {
	var text []string
	for _, line := range p.lines[from:to] {
		text = append(text, strings.TrimPrefix(line, indent))
	}
	return strings.Join(text, "\n")
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
