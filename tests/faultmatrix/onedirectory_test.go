package faultmatrix

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostdir/hostdir/pkg/admin"
	pools "github.com/hostdir/hostdir/pkg/disk"
)

// TestOneDirectoryAtTwoPaths starts on a new directory that a glob finds twice. It is
// used once, and the program says so once, in the words that stay.
func TestOneDirectoryAtTwoPaths(t *testing.T) {
	t.Parallel()
	s := layout(t, "")
	disk, links := filepath.Join(s.Base, "disk"), filepath.Join(s.Base, "links")
	for _, dir := range []string{disk, links} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	a, b := filepath.Join(links, "a"), filepath.Join(links, "b")
	for _, link := range []string{a, b} {
		if err := os.Symlink(disk, link); err != nil {
			t.Fatal(err)
		}
	}
	s.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q]}]", links+"/*"))
	s.run(t)
	refused := "it is the same directory as " + a + ": "
	right := func() bool {
		disks := s.disks(t)
		return len(disks) == 2 && disks[a].State == admin.Ready && disks[b].Reason == admin.Reason(pools.Copied) && strings.HasPrefix(disks[b].Message, refused)
	}
	await(t, "one of two paths is used", 3*time.Second, right)
	id := s.create(t, "pvc-1")
	for end := time.Now().Add(11 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // it looks every ten seconds
		if !right() {
			t.Fatalf("the disks are %+v now", s.disks(t))
		}
	}
	if len(s.listed(t)) != 1 || !s.listed(t)[id] {
		t.Errorf("the volumes are %v, want %s alone", s.listed(t), id)
	}
	s.stop(t)
	if n := strings.Count(s.Log(), "disk cannot be used"); n != 1 {
		t.Errorf("the log says %d times that a disk cannot be used, want once", n)
	}
}
