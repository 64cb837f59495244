package deploy_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
)

// What people may do is what docs/explanation/security.md gives a reason for, and the chart gives
// it to nobody.
func TestPeople(t *testing.T) {
	manifests, refusal := render(t, "{}")
	if refusal != "" {
		t.Fatal(refusal)
	}
	roles := map[string]map[string]bool{}
	for _, object := range decode(t, manifests) {
		switch o := object.(type) {
		case *rbacv1.ClusterRole:
			roles[o.Name] = rights(o.Rules)
		case *rbacv1.Role:
			roles[o.Name] = rights(o.Rules)
		case *rbacv1.ClusterRoleBinding:
			if slices.Contains([]string{"hostdir-viewer", "hostdir-operator"}, o.RoleRef.Name) {
				t.Errorf("%s is bound by %s", o.RoleRef.Name, o.Name)
			}
		case *rbacv1.RoleBinding:
			if o.RoleRef.Name == "hostdir-nodes" {
				t.Errorf("%s is bound by %s", o.RoleRef.Name, o.Name)
			}
		}
	}
	for right := range roles["hostdir-viewer"] {
		if !roles["hostdir-operator"][right] {
			t.Errorf("an operator may not %s, a viewer may", right)
		}
		delete(roles["hostdir-operator"], right) // the page says it of viewers
	}
	for _, role := range []string{"hostdir-viewer", "hostdir-operator", "hostdir-nodes"} {
		want, got := documentedRights(t, role), slices.Sorted(maps.Keys(roles[role]))
		if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 {
			t.Errorf("%s (-docs/explanation/security.md +chart):\n%s", role, diff)
		}
	}
}

// rights are "verb resource".
func rights(rules []rbacv1.PolicyRule) map[string]bool {
	all := map[string]bool{}
	for _, rule := range rules {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				all[verb+" "+resource] = true
			}
		}
	}
	return all
}

// documentedRights reads the table below "`ROLE`" in docs/explanation/security.md, whose rows are a
// resource, verbs and the reason.
func documentedRights(t *testing.T, role string) []string {
	t.Helper()
	page, err := os.ReadFile("../docs/explanation/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, below, found := strings.Cut(string(page), "The role `"+role+"`")
	if !found {
		t.Fatalf("docs/explanation/security.md does not say what %s is", role)
	}
	_, table, _ := strings.Cut(below, "|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var all []string
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) != 5 || len(strings.TrimSpace(cells[3])) == 0 {
			t.Errorf("a row of %s without a reason: %s", role, row)
			continue
		}
		for resource := range strings.SplitSeq(cells[1], ",") {
			for verb := range strings.SplitSeq(cells[2], ",") {
				all = append(all, strings.TrimSpace(verb)+" "+strings.TrimSpace(resource))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
