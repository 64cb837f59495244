package unsynced

import (
	"fmt"
	"regexp"
	"strings"
)

// Options make strace print what Follow understands. The program is its own
// process and not strace's child, so that signals and its end are as ever. What
// begins with ? may be unknown to an old strace.
func Options(output string) []string {
	return []string{
		"-D", "-f", "-qq", "-y", "-s", "0", "-A", "--seccomp-bpf",
		"-e", "signal=none", "-e", "trace=?" + strings.Join(Calls, ",?"), "-o", output,
	}
}

// pending is a system call that has begun: what strace has printed of it, and what
// its success brings about, nil for what it then prints.
type pending struct {
	told string
	done func()
}

var (
	resumed   = regexp.MustCompile(`^<\.\.\. \w+ resumed>`)
	beginSync = regexp.MustCompile(`^(fsync|syncfs)\(\d+<(/[^>]*)>`)
)

// Follow takes up one line of strace's.
func (m *Model) Follow(line string) error {
	m.now++
	thread, line, _ := strings.Cut(line, " ")
	line = strings.TrimSpace(line)
	// The end of a thread, or of one that went with its process before strace could
	// read which call it was about to make.
	if strings.HasPrefix(line, "+++") || strings.HasPrefix(line, "???(") {
		delete(m.pending, thread)
		return nil
	}
	if mark := resumed.FindString(line); mark != "" {
		p := m.pending[thread]
		delete(m.pending, thread)
		return m.end(p.told+line[len(mark):], p.done)
	}
	if begun, cut := strings.CutSuffix(line, " <unfinished ...>"); cut {
		m.pending[thread] = pending{begun, m.begin(begun)}
		return nil
	}
	return m.end(line, m.begin(line))
}

// begin starts what takes effect as of the beginning of a system call: a sync
// does not cover what happens while it is under way.
func (m *Model) begin(told string) (done func()) {
	if match := beginSync.FindStringSubmatch(told); match != nil {
		if match[1] == "syncfs" {
			return m.syncAll(match[2])
		}
		return m.sync(match[2])
	}
	return nil
}

// end puts the effect of a system call in force.
func (m *Model) end(told string, done func()) error {
	c, err := parse(told)
	if err != nil || c.failed {
		return err
	}
	if done != nil {
		done()
		return nil
	}
	effect, known := effects[c.name]
	switch {
	case known:
		err = effect(m, c)
	case strings.Contains(told, m.path) && c.name != "fsync" && c.name != "syncfs":
		err = fmt.Errorf("it is not known what %s does", c.name)
	}
	if err != nil {
		err = fmt.Errorf("%w\nstrace says: %s", err, told)
	}
	return err
}
