package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/plugin"
)

func TestCheck(t *testing.T) {
	layout := plugin.Layout(t, "")
	c := serve(t, layout.Config, layout.Base)
	v := create(t, c.store, "a")
	got, err := c.Check(t.Context())
	if err != nil || got.Volumes != 1 || got.Disks != 1 || len(got.Findings) > 0 {
		t.Errorf("of a sound pool: %+v, %v", got, err)
	}
	volume := filepath.Dir(v.Path)
	if err := os.Chmod(volume, 0o755); err != nil {
		t.Fatal(err)
	}
	got, err = c.Check(t.Context())
	if err != nil || len(got.Findings) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	f := got.Findings[0]
	if f.Kind != string(store.WrongMode) || f.Path != volume || f.VolumeID != v.ID || f.Claim != admin.Claim(v.Claim) || !f.Repairable || f.Problem == "" || f.Remedy == "" {
		t.Errorf("the finding is %+v", f)
	}
	got, err = c.Repair(t.Context())
	if err != nil || len(got.Findings) > 0 || !cmp.Equal(got.Repaired, []admin.Finding{f}) {
		t.Errorf("the repair: %+v, %v", got, err)
	}
}
