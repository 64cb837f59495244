package admin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckText(t *testing.T) {
	wrong := Finding{Kind: "ForeignFile", Path: "/pool/a\nb", Problem: "it is not ours", Remedy: "move it away"}
	failed := Finding{Kind: "WrongMode", Path: "/pool", VolumeID: "uuid.pvc-1", Problem: "it is open", Remedy: "close it", Repairable: true, Failed: "chmod: no"}
	repaired := Finding{Kind: "WrongLink", Path: "/pool/claims/shop/a", Claim: Claim{Namespace: "shop", Name: "a"}, Repairable: true}
	for _, test := range []struct {
		name  string
		check Check
		want  string
	}{
		{"sound", Check{Report: Report{Volumes: 2, Disks: 1}}, "all is well: 2 volumes on 1 disk\n"},
		{"wrong", Check{Report: Report{Findings: []Finding{wrong}}}, "ForeignFile: /pool/a b\n    It is not ours.\n    Move it away.\n\n"},
		{"repaired", Check{Repaired: []Finding{repaired, failed}, Report: Report{Findings: []Finding{failed}}},
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
