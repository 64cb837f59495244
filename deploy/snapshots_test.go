package deploy_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const snapshotAPI = "snapshot.storage.k8s.io/v1"

// volumeSnapshotClass and volumeSnapshot are what the chart and the examples say of
// their kinds. Kubernetes' own API has them not.
type volumeSnapshotClass struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Driver            string            `json:"driver"`
	DeletionPolicy    string            `json:"deletionPolicy"`
	Parameters        map[string]string `json:"parameters"`
}

type volumeSnapshot struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		VolumeSnapshotClassName string `json:"volumeSnapshotClassName"`
		Source                  struct {
			PersistentVolumeClaimName string `json:"persistentVolumeClaimName"`
		} `json:"source"`
	} `json:"spec"`
}

func (c *volumeSnapshotClass) DeepCopyObject() runtime.Object {
	copied := *c
	c.ObjectMeta.DeepCopyInto(&copied.ObjectMeta)
	copied.Parameters = maps.Clone(c.Parameters)
	return &copied
}

func (s *volumeSnapshot) DeepCopyObject() runtime.Object {
	copied := *s
	s.ObjectMeta.DeepCopyInto(&copied.ObjectMeta)
	return &copied
}

func addSnapshots(scheme *runtime.Scheme) error {
	version := schema.GroupVersion{Group: "snapshot.storage.k8s.io", Version: "v1"}
	scheme.AddKnownTypeWithName(version.WithKind("VolumeSnapshotClass"), &volumeSnapshotClass{})
	scheme.AddKnownTypeWithName(version.WithKind("VolumeSnapshot"), &volumeSnapshot{})
	return nil
}

// TestSnapshots: sidecar, rights and class come and go together, as the value says or
// the cluster can.
func TestSnapshots(t *testing.T) {
	for _, test := range []struct {
		values    string
		known     bool // to the cluster
		snapshots bool
		control   bool // snapshot-controller
	}{
		{"{}", false, false, false},
		{"{}", true, true, false},
		{"snapshots: {enabled: auto}", true, true, false},
		{"snapshots: {enabled: true}", false, true, false},
		{`snapshots: {enabled: "true"}`, false, true, false},
		{"snapshots: {enabled: false}", true, false, false},
		{`snapshots: {enabled: "false"}`, true, false, false},
		{"snapshots: {controller: {enabled: true}}", true, true, true},
		{"snapshots: {controller: {enabled: true}}", false, false, false},
		{"snapshots: {enabled: false, controller: {enabled: true}}", true, false, false},
	} {
		name := test.values
		var args []string
		if test.known {
			name += " where snapshots are known"
			args = []string{"--api-versions", snapshotAPI}
		}
		t.Run(name, func(t *testing.T) {
			manifests, refusal := render(t, test.values, args...)
			if refusal != "" {
				t.Fatal(refusal)
			}
			objects, specs := decode(t, manifests), podSpecs(t, manifests)
			sidecar := slices.ContainsFunc(specs["hostdir-node"].Containers, func(c corev1.Container) bool { return c.Name == "csi-snapshotter" })
			_, controller := specs["hostdir-snapshot-controller"]
			roles := map[string]bool{}
			for _, r := range of[*rbacv1.ClusterRole](objects) {
				roles[r.Name] = true
			}
			classes := of[*volumeSnapshotClass](objects)
			if sidecar != test.snapshots || roles["hostdir-node-snapshots"] != test.snapshots || len(classes) > 0 != test.snapshots {
				t.Errorf("the sidecar is there: %t, its role: %t, and %d classes; all of them should be: %t", sidecar, roles["hostdir-node-snapshots"], len(classes), test.snapshots)
			}
			if controller != test.control || roles["hostdir-snapshot-controller"] != test.control {
				t.Errorf("snapshot-controller is there: %t, its role: %t; both should be: %t", controller, roles["hostdir-snapshot-controller"], test.control)
			}
			for _, b := range of[*rbacv1.ClusterRoleBinding](objects) {
				if strings.HasPrefix(b.RoleRef.Name, "hostdir") && !roles[b.RoleRef.Name] {
					t.Errorf("role %s is bound, and is not there", b.RoleRef.Name)
				}
			}
		})
	}
}

// TestSnapshotsStayOnTheirNode: the one labels what the other looks for.
func TestSnapshotsStayOnTheirNode(t *testing.T) {
	manifests, _ := rendered(t, "snapshots: {enabled: true, controller: {enabled: true}}")
	specs := podSpecs(t, manifests)
	sidecar := container(t, specs["hostdir-node"], "csi-snapshotter")
	if !slices.Contains(sidecar.Args, "--node-deployment") || !slices.ContainsFunc(sidecar.Env, func(e corev1.EnvVar) bool {
		return e.Name == "NODE_NAME" && e.ValueFrom.FieldRef.FieldPath == "spec.nodeName"
	}) {
		t.Errorf("csi-snapshotter takes snapshots of other nodes: %q, %v", sidecar.Args, sidecar.Env)
	}
	if args := container(t, specs["hostdir-snapshot-controller"], "snapshot-controller").Args; !slices.Contains(args, "--enable-distributed-snapshotting") {
		t.Errorf("snapshot-controller labels nothing: %q", args)
	}
}

func TestSnapshotClasses(t *testing.T) {
	_, objects := rendered(t, `snapshots: {enabled: true, classes: [
		{name: a, default: true},
		{name: b, deletionPolicy: Retain, parameters: {consistency: idle, copy: never}, labels: {velero.io/csi-volumesnapshot-class: "true"}}]}`)
	classes := of[*volumeSnapshotClass](objects)
	if len(classes) != 2 {
		t.Fatalf("%d classes", len(classes))
	}
	a, b := classes[0], classes[1]
	const isDefault = "snapshot.storage.kubernetes.io/is-default-class"
	if a.Name != "a" || a.Driver != "csi.hostdir.io" || a.DeletionPolicy != "Delete" || a.Annotations[isDefault] != "true" || a.Parameters != nil {
		t.Errorf("got %+v", a)
	}
	if b.DeletionPolicy != "Retain" || b.Annotations[isDefault] != "" || b.Parameters["consistency"] != "idle" || b.Parameters["copy"] != "never" || b.Labels["velero.io/csi-volumesnapshot-class"] != "true" {
		t.Errorf("got %+v", b)
	}
	for values, says := range map[string]string{
		"snapshots: {enabled: true, classes: [{name: a, default: true}, {name: b, default: true}]}": `"a" and "b" cannot both be the default`,
		"snapshots: {classes: [{name: a, reclaimPolicy: Delete}]}":                                  "reclaimPolicy",
		"snapshots: {enabled: maybe}": "/snapshots/enabled",
	} {
		if _, refusal := render(t, values); !strings.Contains(refusal, says) {
			t.Errorf("%s: %q, want an error that says %q", values, refusal, says)
		}
	}
}
