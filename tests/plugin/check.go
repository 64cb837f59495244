package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// finding is what tests read of a finding of `hostdir check -o json`.
type finding struct {
	Kind, Path, What string
	VolumeID         string `json:"volumeID"`
}

// Expect names kinds of findings that a test provokes. The check at the end of
// the test lets them pass.
func (p *Plugin) Expect(kinds ...string) { p.expected = append(p.expected, kinds...) }

// CheckClean runs `hostdir check` against the plugin, and fails the test for
// whatever it finds and the test does not expect. Run has it called at the end
// of each test.
func CheckClean(t testing.TB, p *Plugin) {
	t.Helper()
	cmd := exec.Command(p.program(t), "check", "--output=json", "--endpoint=unix://"+p.Socket)
	cmd.Env = p.environment()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var report struct{ Findings []finding }
	if broken := json.Unmarshal(out.Bytes(), &report); broken != nil {
		t.Errorf("hostdir check: %v: %s", err, errs.String())
		return
	}
	if found := len(report.Findings) > 0; found != (cmd.ProcessState.ExitCode() == 1) {
		t.Errorf("hostdir check ends with %s and %d findings", cmd.ProcessState, len(report.Findings))
	}
	var unexpected []string
	for _, f := range report.Findings {
		if !slices.Contains(p.expected, f.Kind) {
			unexpected = append(unexpected, fmt.Sprintf("%s: %s (%s): %s", f.Kind, f.Path, f.VolumeID, f.What))
		}
	}
	if len(unexpected) > 0 {
		t.Errorf("hostdir check finds\n%s", strings.Join(unexpected, "\n"))
	}
}
