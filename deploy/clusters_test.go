package deploy_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
)

func find[T runtime.Object](t *testing.T, manifests []byte, name string) (found T, ok bool) {
	t.Helper()
	for _, object := range decode(t, manifests) {
		if o, is := object.(T); is {
			if m, err := meta.Accessor(o); err == nil && m.GetName() == name {
				return o, true
			}
		}
	}
	return found, false
}

func mustRender(t *testing.T, values string) []byte {
	t.Helper()
	manifests, refusal := render(t, values)
	if refusal != "" {
		t.Fatal(refusal)
	}
	return manifests
}

const everything = "snapshots: {enabled: true, controller: {enabled: true}}\nnetworkPolicy: {enabled: true}\nopenshift: true\nresourceQuota: true\n"

// Labels and annotations for everything are on everything, pods included, and none
// hides a pod from what selects it.
func TestCommonMetadata(t *testing.T) {
	manifests := mustRender(t, everything+`
commonLabels: {team: storage, app.kubernetes.io/name: other, app.kubernetes.io/component: other}
commonAnnotations: {example.com/cost: "42"}
podLabels: {only: node}
controller: {replicas: 2, autoscaler: {templateCapacity: 1Gi}, podLabels: {only: controller}}`)
	check := func(what string, labels, annotations map[string]string) {
		if labels["team"] != "storage" || labels["app.kubernetes.io/name"] != "hostdir" || annotations["example.com/cost"] != "42" {
			t.Errorf("%s has labels %v and annotations %v", what, labels, annotations)
		}
	}
	for _, object := range decode(t, manifests) {
		m, err := meta.Accessor(object)
		if err != nil {
			t.Fatal(err)
		}
		check(object.GetObjectKind().GroupVersionKind().Kind+" "+m.GetName(), m.GetLabels(), m.GetAnnotations())
		var template corev1.PodTemplateSpec
		var selector map[string]string
		var only string
		switch o := object.(type) {
		case *appsv1.DaemonSet:
			template, selector, only = o.Spec.Template, o.Spec.Selector.MatchLabels, "node"
		case *appsv1.Deployment:
			template, selector, only = o.Spec.Template, o.Spec.Selector.MatchLabels, "controller"
		default:
			continue
		}
		check("a pod of "+m.GetName(), template.Labels, template.Annotations)
		if template.Labels["only"] != only {
			t.Errorf("a pod of %s has the label of the pods of %s", m.GetName(), template.Labels["only"])
		}
		for key, value := range selector {
			if template.Labels[key] != value {
				t.Errorf("%s selects %s=%s, its pods have %q", m.GetName(), key, value, template.Labels[key])
			}
		}
	}
}

// One value moves all images to one registry.
func TestImageRegistry(t *testing.T) {
	manifests := mustRender(t, everything+"imageRegistry: registry.example.com:5000/mirror\nimage: {repository: localhost/hostdir/hostdir}")
	var images []string
	for _, spec := range podSpecs(t, manifests) {
		for _, c := range spec.Containers {
			images = append(images, c.Image[:strings.LastIndex(c.Image, ":")])
		}
	}
	slices.Sort(images)
	var want []string
	for _, image := range []string{"hostdir/hostdir", "library/busybox", "sig-storage/csi-provisioner", "sig-storage/csi-resizer", "sig-storage/csi-snapshotter", "sig-storage/snapshot-controller"} {
		want = append(want, "registry.example.com:5000/mirror/"+image)
	}
	if got := slices.Compact(images); !slices.Equal(got, want) {
		t.Errorf("images of %v, want %v", got, want)
	}
}

// Accounts that are there get the rights, and none is made in their place.
func TestExistingServiceAccounts(t *testing.T) {
	manifests := mustRender(t, "openshift: true\nsnapshots: {enabled: true}\nserviceAccount: {create: false, name: mine}\ncontroller: {serviceAccount: {create: false, name: theirs}}")
	for _, object := range decode(t, manifests) {
		var subjects []rbacv1.Subject
		switch o := object.(type) {
		case *corev1.ServiceAccount:
			if o.Name != "hostdir-uninstall" {
				t.Errorf("account %s is made", o.Name)
			}
		case *rbacv1.ClusterRoleBinding:
			subjects = o.Subjects
		case *rbacv1.RoleBinding:
			subjects = o.Subjects
		case *admissionv1.ValidatingAdmissionPolicy:
			if o.Name == "hostdir-own-node" && !strings.Contains(o.Spec.MatchConditions[0].Expression, ":hostdir-system:mine'") {
				t.Errorf("the policy is for %s", o.Spec.MatchConditions[0].Expression)
			}
		}
		for _, s := range subjects {
			if !slices.Contains([]string{"mine", "theirs", "hostdir-uninstall"}, s.Name) {
				t.Errorf("rights are given to %s", s.Name)
			}
		}
	}
	specs := podSpecs(t, manifests)
	if specs["hostdir-node"].ServiceAccountName != "mine" || specs["hostdir-controller"].ServiceAccountName != "theirs" {
		t.Errorf("pods have other accounts: %v", slices.Sorted(maps.Keys(specs)))
	}
}

// A budget of a single replica would hold up every drain, or mean nothing.
func TestDisruptionBudget(t *testing.T) {
	if _, is := find[*policyv1.PodDisruptionBudget](t, mustRender(t, "{}"), "hostdir-controller"); is {
		t.Error("there is a budget for one replica")
	}
	budget, is := find[*policyv1.PodDisruptionBudget](t, mustRender(t, "controller: {replicas: 2}"), "hostdir-controller")
	if !is || budget.Spec.MaxUnavailable.IntValue() != 1 {
		t.Errorf("the budget of two replicas: %v", budget)
	}
}

func TestTopologySpread(t *testing.T) {
	manifests := mustRender(t, "controller: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]}")
	spread := podSpecs(t, manifests)["hostdir-controller"].TopologySpreadConstraints
	if len(spread) != 1 || spread[0].LabelSelector == nil || spread[0].LabelSelector.MatchLabels["app.kubernetes.io/component"] != "controller" {
		t.Errorf("constraints: %v", spread)
	}
}

func TestNetworkPolicy(t *testing.T) {
	if _, is := find[*networkingv1.NetworkPolicy](t, mustRender(t, "{}"), "hostdir"); is {
		t.Error("there is one although nobody asked for it")
	}
	p, is := find[*networkingv1.NetworkPolicy](t, mustRender(t, "networkPolicy: {enabled: true, apiServerPorts: [16443], scrapeFrom: [{namespaceSelector: {}}]}"), "hostdir")
	if !is {
		t.Fatal("there is none")
	}
	if ports := p.Spec.Egress[0].Ports; len(ports) != 1 || ports[0].Port.IntValue() != 16443 {
		t.Errorf("out to %v", ports)
	}
	// The second is who was named; the first is hostdir-controller.
	if in := p.Spec.Ingress; len(in) != 1 || len(in[0].From) != 2 || in[0].Ports[0].Port.StrVal != "http" {
		t.Errorf("in: %v", in)
	}
}

// The test takes no class that would leave its volume behind.
func TestTestPod(t *testing.T) {
	pod, is := find[*corev1.Pod](t, mustRender(t, "storageClasses: [{name: kept, reclaimPolicy: Retain}, {name: fast}]"), "hostdir-test")
	if !is {
		t.Fatal("there is none")
	}
	if class := pod.Spec.Volumes[0].Ephemeral.VolumeClaimTemplate.Spec.StorageClassName; *class != "fast" {
		t.Errorf("it has a claim of class %s", *class)
	}
	if _, is := find[*corev1.Pod](t, mustRender(t, "storageClasses: [{name: kept, reclaimPolicy: Retain}]"), "hostdir-test"); is {
		t.Error("there is one without a class for it")
	}
}

func TestRefusals(t *testing.T) {
	for values, want := range map[string]string{
		"serviceAccount: {create: false}":                              "name must be that of a service account",
		"controller: {serviceAccount: {create: false}}":                "controller.serviceAccount: with create: false",
		"imageRegistry: https://registry.example.com":                  "imageRegistry",
		"imageRegistry: registry.example.com/":                         "imageRegistry",
		"networkPolicy: {enabled: true, apiServerPorts: []}":           "apiServerPorts",
		"networkPolicy: {scrapeFrom: [{}]}":                            "scrapeFrom",
		"commonLabels: {a: 1}":                                         "commonLabels",
		"commonLabels: {a: two words}":                                 "commonLabels",
		"controller: {podAnnotations: {a: true}}":                      "podAnnotations",
		"controller: {topologySpreadConstraints: [{maxSkew: 1}]}":      "topologySpreadConstraints",
		"ownNodePolicy: maybe":                                         "ownNodePolicy",
		"test: {image: {repository: \"\"}}":                            "test",
		"test: {tolerations: x}":                                       "test",
		"controller: {serviceAccount: {create: true, annotations: 1}}": "serviceAccount",
	} {
		if _, refusal := render(t, values); !strings.Contains(refusal, want) {
			t.Errorf("%s: %q, want %q", values, refusal, want)
		}
	}
}
