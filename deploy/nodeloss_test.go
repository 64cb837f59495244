package deploy_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// The field is in the CSIDriver where the cluster knows it, unless somebody says
// otherwise: an API server that does not know it refuses the object.
func TestPreventPodSchedulingIfMissing(t *testing.T) {
	for _, test := range []struct {
		value, version string
		want           bool
	}{
		{"auto", "1.30.0", false},
		{"auto", "1.36.4", false},
		{"auto", "1.37.0-alpha.1", true},
		{"auto", "v1.37.2-gke.100", true},
		{"false", "1.37.2", false},
		{"true", "1.30.0", true},
	} {
		t.Run(test.value+" on "+test.version, func(t *testing.T) {
			command := exec.Command(helm(t), "template", "hostdir", chart, "--kube-version", test.version, "--set", "preventPodSchedulingIfMissing="+test.value)
			command.Stderr = os.Stderr
			manifests, err := command.Output()
			if err != nil {
				t.Fatal(err)
			}
			for _, object := range decode(t, manifests) {
				if d, ok := object.(*storagev1.CSIDriver); ok {
					if got := d.Spec.PreventPodSchedulingIfMissing; (got != nil && *got) != test.want {
						t.Errorf("preventPodSchedulingIfMissing is %v, want %v", got, test.want)
					}
					return
				}
			}
			t.Error("there is no CSIDriver")
		})
	}
}

// The autoscaler's template nodes have room in each class, if a value says how much.
func TestTemplateCapacity(t *testing.T) {
	for values, want := range map[string]int{"{}": 0, "controller: {autoscaler: {templateCapacity: 100Gi}}": 3} {
		manifests, refusal := render(t, values)
		if refusal != "" {
			t.Fatal(refusal)
		}
		names, classes := map[string]bool{}, map[string]bool{}
		for _, object := range decode(t, manifests) {
			if c, ok := object.(*storagev1.CSIStorageCapacity); ok {
				names[c.Name], classes[c.StorageClassName] = true, true
				if c.Capacity.String() != "100Gi" || c.NodeTopology.MatchLabels["cluster-autoscaler.kubernetes.io/template-node"] != "true" {
					t.Errorf("%s is %v for %v", c.Name, c.Capacity, c.NodeTopology)
				}
				// By these labels csi-provisioner and hostdir-controller know theirs.
				for label := range c.Labels {
					if strings.HasPrefix(label, "csi.storage.k8s.io/") {
						t.Errorf("%s has the label %s", c.Name, label)
					}
				}
			}
		}
		if len(names) != want || len(classes) != want {
			t.Errorf("with %s there are %v for %v, want %d", values, names, classes, want)
		}
	}
}

func TestNodeLossValues(t *testing.T) {
	for _, bad := range []string{"grace: 0s", "grace: 00m0s", "grace: soon", "perHour: -1", "perHour: 1001", "dryRun: maybe", "graze: 1m"} {
		if _, refusal := render(t, fmt.Sprintf("controller: {nodeLoss: {%s}}", bad)); refusal == "" {
			t.Errorf("%s is not refused", bad)
		}
	}
	manifests, refusal := render(t, "controller: {nodeLoss: {grace: 1h, perHour: 5, dryRun: true}}")
	if refusal != "" {
		t.Fatal(refusal)
	}
	args := strings.Join(container(t, podSpecs(t, manifests)["hostdir-controller"], "hostdir-controller").Args, " ")
	for _, want := range []string{"--node-loss-grace=1h ", "--node-loss-per-hour=5 ", "--node-loss-dry-run=true "} {
		if !strings.Contains(args, want) {
			t.Errorf("%q is not in %q", want, args)
		}
	}
}

// hostdir-controller deletes claims and PersistentVolumes, and no pods or nodes. It evicts
// pods only if the values let it.
func TestControllerDeletes(t *testing.T) {
	for values, ofPods := range map[string][]string{
		"{}": {"create pods/eviction", "list pods", "watch pods"},
		"controller: {evictMisplacedPods: false}": {"list pods"},
	} {
		manifests, refusal := render(t, values)
		if refusal != "" {
			t.Fatal(refusal)
		}
		may := map[string]bool{}
		for _, object := range decode(t, manifests) {
			role, ok := object.(*rbacv1.ClusterRole)
			if !ok || role.Name != "hostdir-controller" {
				continue
			}
			for _, rule := range role.Rules {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						if strings.HasPrefix(resource, "pods") {
							may[verb+" "+resource] = true
						}
						if (resource == "nodes" && verb != "get" && verb != "list" && verb != "watch") || resource == "secrets" {
							t.Errorf("with %s it may %s %s", values, verb, resource)
						}
					}
				}
			}
		}
		if got := slices.Sorted(maps.Keys(may)); !slices.Equal(got, ofPods) {
			t.Errorf("with %s it may %q, want %q", values, got, ofPods)
		}
	}
}
