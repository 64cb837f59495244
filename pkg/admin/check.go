package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Check is the answer to GET /check, and to POST /repair.
type Check struct {
	// Repaired is what a repair has fixed, or tried to.
	Repaired []Finding `json:"repaired,omitempty"`
	Report
}

// Repair is the body of POST /repair. The plugin checks again, and fixes what is
// safe to fix of what it finds then.
type Repair struct{}

// checkTimeout is for many volumes on a slow disk.
const checkTimeout = 10 * time.Minute

// Check asks what is wrong with the disks and what is in them.
func (c *Client) Check(ctx context.Context) (answer Check, err error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err = c.get(ctx, "/check", &answer)
	return answer, err
}

// Repair lets the plugin fix what is safe to fix.
func (c *Client) Repair(ctx context.Context) (answer Check, err error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err = c.post(ctx, "/repair", Repair{}, &answer)
	return answer, err
}

// Repairable are the findings that a repair fixes.
func (c Check) Repairable() []Finding {
	var all []Finding
	for _, f := range c.Findings {
		if f.Repairable {
			all = append(all, f)
		}
	}
	return all
}

// Verdict is an error if anything is wrong.
func (c Check) Verdict() error {
	wrong, repairable := len(c.Findings), len(c.Repairable())
	switch {
	case wrong == 0:
		return nil
	case repairable == 0:
		return fmt.Errorf("findings: %d", wrong)
	default:
		return fmt.Errorf("findings: %d, of which --repair fixes %d", wrong, repairable)
	}
}

// WriteText writes for people what was repaired, what is wrong and what to do, a
// paragraph for each.
func (c Check) WriteText(w io.Writer) error {
	var text strings.Builder
	for _, f := range c.Repaired {
		if f.Failed != "" {
			fmt.Fprintf(&text, "not repaired: %s: %s\n", subject(f), oneLine(f.Failed))
		} else {
			fmt.Fprintf(&text, "repaired: %s\n", subject(f))
		}
	}
	if len(c.Repaired) > 0 {
		text.WriteByte('\n')
	}
	for _, f := range c.Findings {
		fmt.Fprintf(&text, "%s\n    %s.\n    %s.\n\n", subject(f), sentence(f.Problem), sentence(f.Remedy))
	}
	if len(c.Findings) == 0 {
		fmt.Fprintf(&text, "all is well: %s on %s\n", count(c.Volumes, "volume", "volumes"), count(c.Disks, "disk", "disks"))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// Plan returns what a repair would fix.
func (c Check) Plan() string {
	var text strings.Builder
	text.WriteString("To be repaired; no data and no record is removed, moved or overwritten:\n")
	for _, f := range c.Repairable() {
		fmt.Fprintf(&text, "    %s: %s\n", subject(f), oneLine(f.Problem))
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// subject says what a finding is about, and in which way.
func subject(f Finding) string {
	whose := cmp.Or(f.Claim.String(), f.VolumeID)
	if f.Claim != (Claim{}) {
		whose = "made for " + whose
	} else if whose != "" {
		whose = "volume " + whose
	}
	if whose != "" {
		whose = " (" + whose + ")"
	}
	return fmt.Sprintf("%s: %s%s", f.Kind, oneLine(f.Path), whose)
}

// sentence begins with a capital letter and ends without a full stop.
func sentence(s string) string {
	s = strings.TrimSuffix(oneLine(s), ".")
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
