package admin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	if f.Kind != store.WrongMode || f.Path != volume || f.VolumeID != v.ID || f.Claim != v.Claim || !f.Repairable || f.Problem == "" || f.Remedy == "" {
		t.Errorf("the finding is %+v", f)
	}
	got, err = c.Repair(t.Context())
	if err != nil || len(got.Findings) > 0 || !cmp.Equal(got.Repaired, []store.Finding{f}, cmp.AllowUnexported(store.Finding{})) {
		t.Errorf("the repair: %+v, %v", got, err)
	}
}

func TestCheckText(t *testing.T) {
	wrong := store.Finding{Kind: store.ForeignFile, Path: "/pool/a\nb", Problem: "it is not ours", Remedy: "move it away"}
	failed := store.Finding{Kind: store.WrongMode, Path: "/pool", VolumeID: "uuid.pvc-1", Problem: "it is open", Remedy: "close it", Repairable: true, Failed: "chmod: no"}
	repaired := store.Finding{Kind: store.WrongLink, Path: "/pool/claims/shop/a", Claim: store.Claim{Namespace: "shop", Name: "a"}, Repairable: true}
	for _, test := range []struct {
		name  string
		check Check
		want  string
	}{
		{"sound", Check{Report: store.Report{Volumes: 2, Disks: 1}}, "all is well: 2 volumes on 1 disk\n"},
		{"wrong", Check{Report: store.Report{Findings: []store.Finding{wrong}}}, "ForeignFile: /pool/a b\n    It is not ours.\n    Move it away.\n\n"},
		{"repaired", Check{Repaired: []store.Finding{repaired, failed}, Report: store.Report{Findings: []store.Finding{failed}}},
			"repaired: WrongLink: /pool/claims/shop/a (made for shop/a)\n" +
				"not repaired: WrongMode: /pool (volume uuid.pvc-1): chmod: no\n\n" +
				"WrongMode: /pool (volume uuid.pvc-1)\n    It is open.\n    Close it.\n\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var text strings.Builder
			if err := test.check.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, text.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
