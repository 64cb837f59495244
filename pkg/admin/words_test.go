package admin

import (
	"strings"
	"testing"
)

func TestDiskPlanText(t *testing.T) {
	p := DiskPlan{Path: "/a", Was: "disk 1", Found: "disk 2", Effect: "disk 2 is used", Token: "secret"}
	for _, part := range []string{p.Path, p.Was, p.Found, p.Effect} {
		if !strings.Contains(p.String(), part) {
			t.Errorf("the operator is shown %q, without %q", p, part)
		}
	}
}
