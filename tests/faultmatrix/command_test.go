package faultmatrix

import (
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/tests/plugin"
)

// ask gives a command of hostdir to the running plugin, and reads its answer. What
// the command says of disks that cannot be used is no error here.
func (s *server) ask(t *testing.T, answer any, command string) {
	t.Helper()
	out, err := exec.CommandContext(s.ctx, plugin.Build(t), command, "--output=json", "--endpoint=unix://"+s.Socket).Output()
	if broken := json.Unmarshal(out, answer); broken != nil {
		t.Fatalf("hostdir %s: %v, %v", command, err, broken)
	}
}

// disks returns what `hostdir disks` shows, by path.
func (s *server) disks(t *testing.T) map[string]admin.Disk {
	t.Helper()
	var answer admin.Disks
	s.ask(t, &answer, "disks")
	all := map[string]admin.Disk{}
	for _, d := range answer.Disks {
		all[d.Path] = d
	}
	return all
}

// trash returns what `hostdir trash` shows.
func (s *server) trash(t *testing.T) []admin.DeletedVolume {
	t.Helper()
	var answer admin.Trash
	s.ask(t, &answer, "trash")
	return answer.Volumes
}

// await waits until something has happened. The plugin looks at paths every ten
// seconds, and at quotas every thirty.
func await(t *testing.T, what string, within time.Duration, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !happened(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}
