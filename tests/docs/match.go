package docs

import (
	"fmt"
	"regexp"
	"strings"
)

// age is one as kubectl writes it, with how often an event was seen.
const age = `\b(?:\d+[dhms])+\b(?: \(x\d+ over (?:\d+[dhms])+\))?`

// varying is what differs from run to run.
var varying = []struct {
	shown, printed string
	same           bool // it is always the same one
}{
	{`[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`, `[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`, true},
	{`\b\d{1,3}(?:\.\d{1,3}){3}\b`, `\d{1,3}(?:\.\d{1,3}){3}`, true},
	{`\b\d{4}-\d\d-\d\dT[\d:.]+Z`, `\d{4}-\d\d-\d\dT[\d:.]+Z`, false},
	{`\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} +\d+ [\d:]+ \d{4}`, `[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ [\d:]+ \d{4}`, false},
	{age, age, false},
	{`\bworker-\d\b`, `[a-z0-9][a-z0-9.-]*`, false},
	{`\.\.\.`, `.*`, false},
}

var anyVarying = func() *regexp.Regexp {
	var all []string
	for _, v := range varying {
		all = append(all, "("+v.shown+")")
	}
	return regexp.MustCompile(strings.Join(all, "|"))
}()

// A matcher compares what pages show with what is printed.
type matcher struct {
	printed map[string]string // by what the page shows, for what is always the same
	shown   map[string]string // the other way round
}

func newMatcher() *matcher {
	return &matcher{printed: map[string]string{}, shown: map[string]string{}}
}

// match returns an error if the printed lines are not those that are shown.
func (m *matcher) match(shown, printed []string) error {
	shown, printed = filled(shown), filled(printed)
	for len(shown) > 0 && shown[0] != "..." {
		if len(printed) == 0 {
			return fmt.Errorf("it does not print %q", shown[0])
		}
		if err := m.line(shown[0], printed[0]); err != nil {
			return err
		}
		shown, printed = shown[1:], printed[1:]
	}
	if len(shown) == 0 {
		if len(printed) > 0 {
			return fmt.Errorf("it prints %q as well", printed[0])
		}
		return nil
	}
	// The lines after "..." are the first ones that match.
	var err error
	for skip := 0; skip <= len(printed); skip++ {
		attempt := m.clone()
		if err = attempt.match(shown[1:], printed[skip:]); err == nil {
			*m = *attempt
			return nil
		}
	}
	return err
}

func (m *matcher) line(shown, printed string) error {
	pattern, words, err := lineOf(shown)
	if err != nil {
		return err
	}
	found := pattern.FindStringSubmatch(strings.Join(strings.Fields(printed), " "))
	if found == nil {
		return fmt.Errorf("it prints %q in place of %q", printed, shown)
	}
	for i, word := range words {
		was, known := m.printed[word]
		other, taken := m.shown[found[i+1]]
		if known && was != found[i+1] || taken && other != word {
			return fmt.Errorf("in %q, %s is not what it was before", printed, found[i+1])
		}
		m.printed[word], m.shown[found[i+1]] = found[i+1], word
	}
	return nil
}

// lineOf returns the pattern of a line, and what its groups are shown as.
func lineOf(shown string) (*regexp.Regexp, []string, error) {
	shown = strings.Join(strings.Fields(shown), " ")
	var pattern strings.Builder
	var words []string
	at := 0
	for _, found := range anyVarying.FindAllStringSubmatchIndex(shown, -1) {
		pattern.WriteString(regexp.QuoteMeta(shown[at:found[0]]))
		for i, v := range varying {
			if found[2*i+2] < 0 {
				continue
			}
			if v.same {
				words = append(words, shown[found[0]:found[1]])
				pattern.WriteString("(" + v.printed + ")")
			} else {
				pattern.WriteString(v.printed)
			}
		}
		at = found[1]
	}
	pattern.WriteString(regexp.QuoteMeta(shown[at:]))
	compiled, err := regexp.Compile("^" + pattern.String() + "$")
	return compiled, words, err
}

func (m *matcher) clone() *matcher {
	c := newMatcher()
	for shown, printed := range m.printed {
		c.printed[shown], c.shown[printed] = printed, shown
	}
	return c
}

// filled are the lines that are not blank.
func filled(lines []string) (all []string) {
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}
