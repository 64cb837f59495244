package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/tests/plugin"
)

// addLimits adds to each volume which limit is in force.
func (s *server) addLimits(t *testing.T, all state) {
	t.Helper()
	records, err := filepath.Glob(filepath.Join(s.Base, "volumes", "*", "volume.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range records {
		name := filepath.Base(filepath.Dir(file))
		all["limit of "+name] = limitOf(t, file)
	}
}

// limitOf is the limit of the volume that has this record.
func limitOf(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var record struct {
		Quota struct{ ID quota.ID }
	}
	if err := json.Unmarshal(content, &record); err != nil {
		return "none: " + err.Error()
	}
	data, err := os.Open(filepath.Join(filepath.Dir(file), "data"))
	if err != nil {
		return "none: " + err.Error()
	}
	defer data.Close()
	limits, err := quota.Detect(data)
	if err != nil {
		t.Fatal(err)
	}
	limit, _, err := limits.Get(data, record.Quota.ID)
	if err != nil {
		return "none: " + err.Error()
	}
	return fmt.Sprint(limit.Bytes)
}

// wantCleared waits until the program has purged all that the pools of a place
// have in their trash, and checks that no limit is left of it: what is not purged
// at once must not be forgotten.
func (p place) wantCleared(t *testing.T) {
	s := layOut(t, place{})
	s.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q]}]", filepath.Join(p.dir, "pool-*")))
	// A start looks through the trash at once. But a disk that the program before was busy
	// with when it ended is not used for disk.OwnerPatience.
	deadline := time.Now().Add(5 * time.Minute)
	for patience := 30 * time.Second; ; patience *= 2 {
		s.run(t)
		left := p.waitTrash(t, patience)
		s.Signal(t, os.Interrupt)
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d deleted volumes are not purged, such as %s", len(left), left[0])
		}
	}
	groups := ids(t, `(?m)^0/(\d{3,})\s`, "btrfs", "qgroup", "show", p.dir)
	volumes := ids(t, `(?m)^ID (\d+) `, "btrfs", "subvolume", "list", p.dir)
	for id := range groups {
		if !volumes[id] {
			t.Errorf("the limit of subvolume %s is left, which is gone", id)
		}
	}
	if len(volumes) == 0 || len(groups) == 0 {
		t.Errorf("%d subvolumes have %d limits: the test proves nothing", len(volumes), len(groups))
	}
}

// waitTrash waits for a while until the trash of all pools is empty, and returns
// what is left in it.
func (p place) waitTrash(t *testing.T, while time.Duration) []string {
	t.Helper()
	trashes, err := filepath.Glob(filepath.Join(p.dir, "pool-*", "trash"))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(while); ; time.Sleep(100 * time.Millisecond) {
		var left []string
		for _, trash := range trashes {
			left = append(left, plugin.Trash(t, filepath.Dir(trash))...)
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

// ids are the numbers that a pattern finds in what a command prints.
func ids(t *testing.T, pattern string, command ...string) map[string]bool {
	t.Helper()
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
	all := map[string]bool{}
	for _, found := range regexp.MustCompile(pattern).FindAllSubmatch(out, -1) {
		all[string(found[1])] = true
	}
	return all
}
