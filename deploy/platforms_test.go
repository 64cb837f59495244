package deploy_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hostdir/hostdir/pkg/driver"
	"github.com/hostdir/hostdir/pkg/registration"
	"github.com/hostdir/hostdir/pkg/socket"
)

// rendered are the objects that the chart makes of values.
func rendered(t *testing.T, values string) ([]byte, []runtime.Object) {
	t.Helper()
	manifests, refusal := render(t, values)
	if refusal != "" {
		t.Fatal(refusal)
	}
	return manifests, decode(t, manifests)
}

// of returns the objects of a type.
func of[T runtime.Object](objects []runtime.Object) (found []T) {
	for _, o := range objects {
		if o, ok := o.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

// TestStorageCapacity: without capacity nobody publishes any, nor may.
func TestStorageCapacity(t *testing.T) {
	for _, test := range []struct {
		values string
		want   bool
	}{
		{"{}", true},
		{"storageCapacity: true", true},
		{"storageCapacity: false", false},
	} {
		t.Run(test.values, func(t *testing.T) {
			manifests, objects := rendered(t, test.values)
			csiDriver := of[*storagev1.CSIDriver](objects)[0]
			if got := *csiDriver.Spec.StorageCapacity; got != test.want {
				t.Errorf("the CSIDriver says %t", got)
			}
			// fsGroup works without a filesystem type in the PersistentVolume.
			if p := csiDriver.Spec.FSGroupPolicy; p == nil || *p != storagev1.FileFSGroupPolicy {
				t.Errorf("fsGroupPolicy %v", p)
			}
			args := container(t, podSpecs(t, manifests)["hostdir-node"], "csi-provisioner").Args
			if got := slices.Contains(args, "--enable-capacity"); got != test.want {
				t.Errorf("csi-provisioner has %q", args)
			}
			if slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--default-fstype") }) {
				t.Errorf("csi-provisioner asks for a filesystem type by itself: %q", args)
			}
			may := slices.ContainsFunc(of[*rbacv1.Role](objects), func(r *rbacv1.Role) bool {
				return slices.ContainsFunc(r.Rules, func(rule rbacv1.PolicyRule) bool { return slices.Contains(rule.Resources, "csistoragecapacities") })
			})
			if may != test.want {
				t.Errorf("some role may publish capacity: %t", may)
			}
			roles := map[string]bool{}
			for _, r := range of[*rbacv1.Role](objects) {
				roles[r.Name] = true
			}
			for _, b := range of[*rbacv1.RoleBinding](objects) {
				if !roles[b.RoleRef.Name] {
					t.Errorf("role %s is bound, and is not there", b.RoleRef.Name)
				}
			}
		})
	}
}

func TestResourceQuota(t *testing.T) {
	for _, test := range []struct {
		values string
		want   []string
	}{
		{"{}", nil},
		{"resourceQuota: false", nil},
		{"resourceQuota: true", []string{"system-node-critical", "system-cluster-critical"}},
		{"{resourceQuota: true, controller: {priorityClassName: system-node-critical}}", []string{"system-node-critical"}},
		{`{resourceQuota: true, priorityClassName: ""}`, []string{"system-cluster-critical"}},
	} {
		t.Run(test.values, func(t *testing.T) {
			_, objects := rendered(t, test.values)
			var got []string
			for _, q := range of[*corev1.ResourceQuota](objects) {
				got = append(got, q.Spec.ScopeSelector.MatchExpressions[0].Values...)
				if pods := q.Spec.Hard[corev1.ResourcePods]; pods.Value() < 15_000 {
					t.Errorf("the quota allows %d pods, fewer than a large cluster has nodes", pods.Value())
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("allowed are %q, want %q", got, test.want)
			}
		})
	}
}

// TestOpenShift: what the platform gives for each namespace is not fixed, and the
// DaemonSet alone may do what only the SCC privileged allows.
func TestOpenShift(t *testing.T) {
	bindings := func(objects []runtime.Object) (bound []string) {
		for _, b := range of[*rbacv1.RoleBinding](objects) {
			if strings.HasPrefix(b.RoleRef.Name, "system:openshift:") {
				bound = append(bound, b.RoleRef.Kind+" "+b.RoleRef.Name+" "+b.Subjects[0].Name)
			}
		}
		return bound
	}
	manifests, objects := rendered(t, "openshift: true")
	if got := bindings(objects); !slices.Equal(got, []string{"ClusterRole system:openshift:scc:privileged hostdir-node"}) {
		t.Errorf("bound are %q", got)
	}
	specs := podSpecs(t, manifests)
	if s := specs["hostdir-controller"].SecurityContext; s.RunAsUser != nil || s.RunAsGroup != nil || s.FSGroup != nil || !*s.RunAsNonRoot {
		t.Errorf("the controller's IDs are fixed: %v", s)
	}
	sidecar := func(name, values string) string {
		manifests, _ := rendered(t, values)
		if o := container(t, podSpecs(t, manifests)["hostdir-node"], name).SecurityContext.SELinuxOptions; o != nil {
			return o.Type
		}
		return ""
	}
	for values, want := range map[string]string{
		"openshift: true":  "spc_t",
		"openshift: false": "",
		"{openshift: true, csiProvisioner: {seLinuxOptions: {type: other_t}}}":  "other_t",
		"{openshift: false, csiProvisioner: {seLinuxOptions: {type: other_t}}}": "other_t",
	} {
		if got := sidecar("csi-provisioner", values); got != want {
			t.Errorf("%s: csi-provisioner has the SELinux type %q, want %q", values, got, want)
		}
	}
	for values, want := range map[string]string{
		"{openshift: true, snapshots: {enabled: true}}":                                                    "spc_t",
		"{openshift: false, snapshots: {enabled: true}}":                                                   "",
		"{openshift: true, snapshots: {enabled: true}, csiSnapshotter: {seLinuxOptions: {type: other_t}}}": "other_t",
	} {
		if got := sidecar("csi-snapshotter", values); got != want {
			t.Errorf("%s: csi-snapshotter has the SELinux type %q, want %q", values, got, want)
		}
	}
	if _, objects := rendered(t, "{}"); len(bindings(objects)) > 0 {
		t.Errorf("bound without being asked: %q", bindings(objects))
	}
}

// TestKubeletDir holds the chart to what the program takes: the limit is the
// kernel's, for the longest path that kubelet reaches hostdir by.
func TestKubeletDir(t *testing.T) {
	longest := socket.MaxPath - len("/plugins_registry/"+registration.SocketName(driver.DefaultName))
	path := func(n int) string { return "/" + strings.Repeat("k", n-1) }
	for _, test := range []struct{ dir, says string }{
		{"/var/lib/kubelet", ""},
		{"/opt/rke/var/lib/kubelet", ""},
		{path(longest), ""},
		{path(longest + 1), "is too long by 1 bytes"},
		{path(longest + 200), "is too long by 200 bytes"},
		{"/var/lib/../kubelet", `as "/var/kubelet"`},
		{"/var/./kubelet", `as "/var/kubelet"`},
		{"/var/lib/kubelet/", "/kubeletDir"},
		{"/", "/kubeletDir"},
		{"var/lib/kubelet", "/kubeletDir"},
		{"/var/lib/kubelet #old", "/kubeletDir"},
		{"/var/lib//kubelet", "/kubeletDir"},
	} {
		_, refusal := render(t, `kubeletDir: "`+test.dir+`"`)
		if test.says == "" && refusal != "" || !strings.Contains(refusal, test.says) {
			t.Errorf("%s: %q, want %q", test.dir, refusal, test.says)
		}
	}
}

func TestRefusedPlatformValues(t *testing.T) {
	for values, says := range map[string]string{
		`storageCapacity: "no"`: "/storageCapacity",
		"storageCapacity: null": "storageCapacity",
		"openshift: yes please": "/openshift",
		`{resourceQuota: true, priorityClassName: "", controller: {priorityClassName: ""}}`:                 "set resourceQuota: false",
		"storageClasses: [{name: x, parameters: {csi.storage.k8s.io/fstype: XFS}}]":                         "fstype",
		"storageClasses: [{name: x, parameters: {csi.storage.k8s.io/node-publish-secret-name: something}}]": "not allowed",
	} {
		if _, refusal := render(t, values); !strings.Contains(refusal, says) {
			t.Errorf("%s: %q, want an error that says %q", values, refusal, says)
		}
	}
}
