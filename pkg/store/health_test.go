package store

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

func TestHealth(t *testing.T) {
	for _, test := range []struct {
		name   string
		harm   func(t *testing.T, base, volume string)
		want   Severity
		reason string
	}{
		{"no directory", func(t *testing.T, _, volume string) { check(t, os.RemoveAll(volume)) }, DataLoss, "DirectoryMissing"},
		{"no data", func(t *testing.T, _, volume string) { check(t, os.Remove(filepath.Join(volume, dataDir))) }, DataLoss, "DirectoryMissing"},
		{"a mount over its data", func(t *testing.T, _, volume string) { bindMount(t, t.TempDir(), filepath.Join(volume, dataDir)) }, Inaccessible, "DataUnreadable"},
		{"a mount over it", func(t *testing.T, _, volume string) { bindMount(t, t.TempDir(), volume) }, Inaccessible, "Quarantined"},
		{"no record", func(t *testing.T, _, volume string) { check(t, os.Remove(filepath.Join(volume, recordFile))) }, Inaccessible, "Quarantined"},
		{"no disk", func(t *testing.T, base, _ string) { check(t, os.Remove(filepath.Join(base, markerFile))) }, Inaccessible, "DiskUnavailable"},
		{"a read-only disk", func(t *testing.T, base, _ string) { remount(t, base, unix.MS_RDONLY, "") }, Degraded, "ReadOnly"},
	} {
		t.Run(test.name, func(t *testing.T) {
			base := mountTmpfs(t, "size=16m")
			s := openStore(t, onePool(base))
			v := mustCreate(t, s, request("pvc-1"))
			if problems, err := s.Health(t.Context(), v.ID); err != nil || len(problems) > 0 {
				t.Fatalf("problems of a healthy volume: %+v, %v", problems, err)
			}
			test.harm(t, base, filepath.Dir(v.Path))
			problems, err := s.Health(t.Context(), v.ID)
			if err != nil || len(problems) != 1 || problems[0].Severity != test.want || problems[0].Reason != test.reason || problems[0].Message == "" {
				t.Errorf("problems %+v, %v; want one, %s", problems, err, test.reason)
			}
		})
	}
}

func TestHealthOfNothing(t *testing.T) {
	s, _ := newStore(t)
	deleted := mustCreate(t, s, request("pvc-deleted")).ID
	mustDelete(t, s, deleted)
	for _, id := range []string{"", "pvc-1", "00000000-0000-4000-8000-000000000000.pvc-1", deleted, only(t, s).volumeID("pvc-never").String()} {
		_, err := s.Health(t.Context(), id)
		wantClass(t, err, errdefs.ErrNotFound)
	}
}

// TestProblems reports disks that cannot be used, once refresh has
// seen them.
func TestProblems(t *testing.T) {
	good, bad := mountTmpfs(t, "size=16m"), mountTmpfs(t, "size=16m")
	writeFile(t, filepath.Join(bad, "foreign"), "")
	s := openStore(t, onePool(good, bad))
	problems := s.Problems()
	if len(problems) != 1 || problems[0].Severity != Inaccessible {
		t.Errorf("problems %+v, want one", problems)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
