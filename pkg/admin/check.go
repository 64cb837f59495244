package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hostdir/hostdir/pkg/store"
)

// Check is the answer to GET /check, and to POST /repair.
type Check struct {
	// Mended is what a repair has mended, or tried to.
	Mended []store.Finding `json:"mended,omitempty"`
	store.Report
}

// Repair is the order to mend what is safe to mend, whatever a check finds then.
type Repair struct{}

// checkTimeout is for many volumes on a slow disk.
const checkTimeout = 10 * time.Minute

// Check asks what is wrong with the base directories and what is in them.
func (c *Client) Check(ctx context.Context) (answer Check, err error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err = c.get(ctx, "/check", &answer)
	return answer, err
}

// Repair has what is safe to mend mended.
func (c *Client) Repair(ctx context.Context) (answer Check, err error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err = c.post(ctx, "/repair", Repair{}, &answer)
	return answer, err
}

func (s *Server) check(w http.ResponseWriter, r *http.Request) {
	report, err := s.Store.Check(r.Context(), s.Mounts)
	if err != nil {
		http.Error(w, err.Error(), refused)
		return
	}
	answer(func(w io.Writer) error { return json.NewEncoder(w).Encode(Check{Report: report}) })(w, r)
}

func (s *Server) repair(ctx context.Context, _ Repair) (Check, error) {
	mended, left, err := s.Store.Repair(ctx, s.Mounts)
	return Check{Mended: mended, Report: left}, err
}

// Repairable are the findings that a repair mends.
func (c Check) Repairable() []store.Finding {
	var all []store.Finding
	for _, f := range c.Findings {
		if f.Repairable {
			all = append(all, f)
		}
	}
	return all
}

// WriteText writes for people what was mended, what is wrong and what to do, a
// paragraph for each.
func (c Check) WriteText(w io.Writer) error {
	var text strings.Builder
	for _, f := range c.Mended {
		if f.Failed != "" {
			fmt.Fprintf(&text, "not mended: %s: %s\n", subject(f), oneLine(f.Failed))
		} else {
			fmt.Fprintf(&text, "mended: %s\n", subject(f))
		}
	}
	if len(c.Mended) > 0 {
		text.WriteByte('\n')
	}
	for _, f := range c.Findings {
		fmt.Fprintf(&text, "%s\n    %s.\n    %s.\n\n", subject(f), sentence(f.What), sentence(f.Do))
	}
	if len(c.Findings) == 0 {
		fmt.Fprintf(&text, "all is well: %s in %s\n", count(c.Volumes, "volume", "volumes"), count(c.BaseDirectories, "base directory", "base directories"))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// Plan tells what a repair would mend.
func (c Check) Plan() string {
	var text strings.Builder
	text.WriteString("To be mended; no data and no record is removed, moved or overwritten:\n")
	for _, f := range c.Repairable() {
		fmt.Fprintf(&text, "    %s: %s\n", subject(f), oneLine(f.What))
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// subject says what a finding is about, and in which way.
func subject(f store.Finding) string {
	whose := cmp.Or(f.Claim.String(), f.VolumeID)
	if f.Claim != (store.Claim{}) {
		whose = "claim " + whose
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
