package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

const chart = "helm/hostdir"

func helm(t *testing.T) string {
	t.Helper()
	name := os.Getenv("HELM")
	if name == "" {
		name = "helm"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no Helm: put helm on the PATH or its path into HELM (%v)", err)
	}
	return path
}

// render returns what `helm template` prints with these values, or its error's text. More
// arguments are Helm's.
func render(t *testing.T, values string, args ...string) (manifests []byte, refusal string) {
	t.Helper()
	cmd := exec.Command(helm(t), append([]string{"template", "hostdir", chart, "--namespace", "hostdir-system", "--values", "-"}, args...)...)
	cmd.Stdin = strings.NewReader(values)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	manifests, err := cmd.Output()
	if err != nil {
		return nil, stderr.String()
	}
	return manifests, ""
}

// decode reads manifests as an API server with strict validation does: an
// unknown or repeated field is an error.
func decode(t *testing.T, manifests []byte) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, rbacv1.AddToScheme, storagev1.AddToScheme, batchv1.AddToScheme, admissionv1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme, addSnapshots} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []runtime.Object
	for _, document := range bytes.Split(manifests, []byte("\n---\n")) {
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%v, in:\n%s", err, document)
		}
		objects = append(objects, object)
	}
	return objects
}

// podSpecs are the pods that the manifests bring, by the name of what runs them.
func podSpecs(t *testing.T, manifests []byte) map[string]corev1.PodSpec {
	t.Helper()
	specs := map[string]corev1.PodSpec{}
	for _, object := range decode(t, manifests) {
		switch o := object.(type) {
		case *appsv1.DaemonSet:
			specs[o.Name] = o.Spec.Template.Spec
		case *appsv1.Deployment:
			specs[o.Name] = o.Spec.Template.Spec
		case *corev1.Pod:
			specs[o.Name] = o.Spec
		case *batchv1.Job:
			specs[o.Name] = o.Spec.Template.Spec
		}
	}
	return specs
}

func container(t *testing.T, spec corev1.PodSpec, name string) corev1.Container {
	t.Helper()
	i := slices.IndexFunc(spec.Containers, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no container %s", name)
	}
	return spec.Containers[i]
}

func TestLint(t *testing.T) {
	if out, err := exec.Command(helm(t), "lint", "--strict", chart).CombinedOutput(); err != nil {
		t.Errorf("helm lint: %v\n%s", err, out)
	}
}

func TestManifestsAreUpToDate(t *testing.T) {
	cmd := exec.Command("./render", "--check")
	cmd.Env = append(os.Environ(), "HELM="+helm(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("deploy/render --check: %v\n%s", err, out)
	}
}

func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples (%v)", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(file) == "pools.yaml" { // values of the chart
				manifests, refusal := render(t, string(data))
				if refusal != "" {
					t.Fatal(refusal)
				}
				data = manifests
			}
			decode(t, data)
		})
	}
}

// Only the official sidecars talk to the API server, and only hostdir, which
// holds no credentials, has power over the node.
func TestPrivileges(t *testing.T) {
	manifests, refusal := render(t, "snapshots: {enabled: true, controller: {enabled: true}}")
	if refusal != "" {
		t.Fatal(refusal)
	}
	var withToken, powerful []string
	for pod, spec := range podSpecs(t, manifests) {
		if spec.HostNetwork || spec.HostPID || spec.HostIPC {
			t.Errorf("the pod of %s shares a namespace with the host", pod)
		}
		if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
			t.Errorf("every container of %s gets the service account's token", pod)
		}
		for _, c := range spec.Containers {
			name := pod + "/" + c.Name
			if !*c.SecurityContext.ReadOnlyRootFilesystem {
				t.Errorf("%s has a writable root filesystem", name)
			}
			for _, p := range c.Ports {
				if p.HostPort != 0 {
					t.Errorf("%s takes port %d of the host", name, p.HostPort)
				}
			}
			if mountsToken(spec, c) {
				withToken = append(withToken, name)
			}
			none := &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}
			if s := c.SecurityContext; s.Privileged != nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !cmp.Equal(none, s.Capabilities) {
				powerful = append(powerful, name)
			}
		}
	}
	slices.Sort(withToken)
	if diff := cmp.Diff([]string{"hostdir-controller/csi-resizer", "hostdir-controller/hostdir-controller", "hostdir-node/csi-provisioner", "hostdir-node/csi-snapshotter",
		"hostdir-snapshot-controller/snapshot-controller", "hostdir-uninstall/hostdir-controller"}, withToken); diff != "" {
		t.Errorf("containers with a token (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"hostdir-node/hostdir"}, powerful); diff != "" {
		t.Errorf("containers with privileges (-want +got):\n%s", diff)
	}
}

func mountsToken(spec corev1.PodSpec, c corev1.Container) bool {
	return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
		i := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		return spec.Volumes[i].Projected != nil
	})
}

// hostdir-controller's pod has nothing of the host, and its containers share a
// user: the socket between them is its owner's alone.
func TestControllerPod(t *testing.T) {
	manifests, refusal := render(t, "{}")
	if refusal != "" {
		t.Fatal(refusal)
	}
	spec := podSpecs(t, manifests)["hostdir-controller"]
	if s := spec.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil {
		t.Errorf("the pod may run as root: %v", s)
	}
	for _, c := range spec.Containers {
		if c.SecurityContext.RunAsUser != nil {
			t.Errorf("container %s has a user of its own", c.Name)
		}
	}
	for _, v := range spec.Volumes {
		if v.HostPath != nil {
			t.Errorf("volume %s is the host's %s", v.Name, v.HostPath.Path)
		}
	}
}

// One image has both programs: people push one.
func TestImage(t *testing.T) {
	manifests, refusal := render(t, "image: {repository: registry.example.com/hostdir, tag: v1, pullPolicy: Always}")
	if refusal != "" {
		t.Fatal(refusal)
	}
	specs := podSpecs(t, manifests)
	for _, test := range []struct {
		pod, container string
		command        []string
	}{
		{"hostdir-node", "hostdir", nil}, // the image's own
		{"hostdir-controller", "hostdir-controller", []string{"/hostdir-controller"}},
	} {
		c := container(t, specs[test.pod], test.container)
		if c.Image != "registry.example.com/hostdir:v1" || c.ImagePullPolicy != corev1.PullAlways || !slices.Equal(c.Command, test.command) {
			t.Errorf("%s runs %q of %s, pulled %s", test.container, c.Command, c.Image, c.ImagePullPolicy)
		}
	}
}

// hostdir takes up a changed configuration by itself: no pod starts anew for it.
func TestConfigurationRestartsNothing(t *testing.T) {
	configs := map[string]bool{}
	var before map[string]corev1.PodTemplateSpec
	for _, reserve := range []string{"5%", "10%"} {
		manifests, refusal := render(t, "pools: [{name: default, paths: [/var/lib/hostdir], reserve: "+reserve+"}]")
		if refusal != "" {
			t.Fatal(refusal)
		}
		templates := map[string]corev1.PodTemplateSpec{}
		for _, object := range decode(t, manifests) {
			switch o := object.(type) {
			case *appsv1.DaemonSet:
				templates[o.Name] = o.Spec.Template
			case *appsv1.Deployment:
				templates[o.Name] = o.Spec.Template
			case *corev1.ConfigMap:
				configs[o.Data["config.yaml"]] = true
			}
		}
		if before == nil {
			before = templates
		}
		if diff := cmp.Diff(before, templates); diff != "" {
			t.Errorf("with another configuration the pods are others:\n%s", diff)
		}
	}
	if len(configs) != 2 {
		t.Errorf("%d configurations, want 2", len(configs))
	}
}
