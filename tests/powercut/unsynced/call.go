package unsynced

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// call is a system call as strace shows it.
type call struct {
	name string
	args []string
	// failed reports that it has changed nothing.
	failed bool
}

var told = regexp.MustCompile(`^(\w+)\((.*)\) += (.*)$`)

// parse reads what strace has printed of a system call.
func parse(line string) (call, error) {
	match := told.FindStringSubmatch(line)
	if match == nil {
		return call{}, fmt.Errorf("strace says %q, which is not understood", line)
	}
	result := match[3]
	return call{
		name: match[1],
		args: split(match[2]),
		// One that strace has made up has not happened, whatever it returned.
		failed: strings.HasPrefix(result, "-1") || strings.HasPrefix(result, "?") || strings.Contains(result, "(INJECTED)"),
	}, nil
}

// split splits arguments at the commas that are not inside anything.
func split(args string) []string {
	var all []string
	depth, quoted, begin := 0, false, 0
	for i := 0; i < len(args); i++ {
		switch c := args[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case strings.IndexByte("{[(<", c) >= 0:
			depth++
		case strings.IndexByte("}])>", c) >= 0:
			depth--
		case c == ',' && depth == 0:
			all = append(all, strings.TrimSpace(args[begin:i]))
			begin = i + 1
		}
	}
	return append(all, strings.TrimSpace(args[begin:]))
}

// descriptor returns the path of an argument such as 7</pool/volumes>. It is ""
// for anything but a file that still has a name.
func (c call) descriptor(i int) string {
	if i >= len(c.args) {
		return ""
	}
	return named(c.args[i])
}

// named returns the path of a descriptor as strace shows one.
func named(descriptor string) string {
	if strings.HasSuffix(descriptor, "(deleted)") || strings.HasSuffix(descriptor, "(deleted)>") {
		return ""
	}
	_, name, found := strings.Cut(descriptor, "<")
	if !found || !strings.HasPrefix(name, "/") {
		return ""
	}
	return strings.TrimSuffix(name, ">")
}

// text returns an argument in quotes.
func (c call) text(i int) string {
	if i >= len(c.args) {
		return ""
	}
	s, err := strconv.Unquote(c.args[i])
	if err != nil {
		return ""
	}
	return s
}

// at returns the path that a directory and a name stand for.
func (c call) at(dir, name int) string {
	if n := c.text(name); path.IsAbs(n) {
		return path.Clean(n)
	}
	return path.Join(c.descriptor(dir), c.text(name))
}

// field returns a field of a struct among the arguments, such as name="data".
func (c call) field(i int, name string) string {
	if i >= len(c.args) {
		return ""
	}
	asked, _, _ := strings.Cut(c.args[i], " => ") // what was answered
	for _, f := range split(strings.Trim(asked, "{}")) {
		if value, found := strings.CutPrefix(f, name+"="); found {
			if s, err := strconv.Unquote(value); err == nil {
				return s
			}
			return value
		}
	}
	return ""
}

// has reports whether an argument names a flag.
func (c call) has(i int, flag string) bool {
	return i < len(c.args) && strings.Contains(c.args[i], flag)
}
