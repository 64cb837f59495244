package ownnode

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/tests/apiserver"
)

const (
	home      = "hostdir-system"
	account   = "hostdir-node"
	finalizer = "external-provisioner.volume.kubernetes.io/finalizer"
)

// TestOwnNode holds the plugin of node-a to its own node.
func TestOwnNode(t *testing.T) {
	s := apiserver.Start(t)
	admin := kubernetes.NewForConfigOrDie(s.Config)
	install(t, admin)
	for _, node := range []string{"node-a", "node-b"} {
		_, err := admin.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, metav1.CreateOptions{})
		check(t, err)
	}
	a := plugin(t, s, admin, "node-a")
	awaitPolicy(t, a)

	for _, test := range []struct {
		name    string
		volume  *corev1.PersistentVolume
		refused bool
	}{
		{"own", volume("own", "node-a"), false},
		{"another node's", volume("other", "node-b"), true},
		{"two nodes', by values", volume("values", "node-a", "node-b"), true},
		{"two nodes', by terms", changed(volume("terms", "node-a"), func(v *corev1.PersistentVolume) {
			v.Spec.NodeAffinity.Required.NodeSelectorTerms = append(v.Spec.NodeAffinity.Required.NodeSelectorTerms,
				volume("", "node-b").Spec.NodeAffinity.Required.NodeSelectorTerms...)
		}), true},
		{"any node's", changed(volume("any", "node-a"), func(v *corev1.PersistentVolume) { v.Spec.NodeAffinity = nil }), true},
		{"all others'", changed(volume("not", "node-a"), func(v *corev1.PersistentVolume) {
			v.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Operator = corev1.NodeSelectorOpNotIn
		}), true},
		{"another driver's", changed(volume("driver", "node-a"), func(v *corev1.PersistentVolume) { v.Spec.CSI.Driver = "csi.example.com" }), true},
		{"a folder of the host", changed(volume("host", "node-a"), func(v *corev1.PersistentVolume) {
			v.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/etc"}}
		}), true},
	} {
		_, err := a.CoreV1().PersistentVolumes().Create(t.Context(), test.volume, metav1.CreateOptions{})
		verdict(t, "making a volume: "+test.name, err, test.refused)
	}

	for _, v := range []*corev1.PersistentVolume{volume("b", "node-b"), changed(volume("foreign", "node-a"), func(v *corev1.PersistentVolume) { v.Spec.CSI.Driver = "csi.example.com" })} {
		_, err := admin.CoreV1().PersistentVolumes().Create(t.Context(), v, metav1.CreateOptions{})
		verdict(t, "an administrator makes "+v.Name, err, false)
	}
	for _, test := range []struct {
		name, volume, patch string
		refused             bool
	}{
		{"own, anything", "own", `{"metadata":{"annotations":{"a":"b"},"finalizers":["example.com/x"]}}`, false},
		{"own, finalizers again", "own", `{"metadata":{"finalizers":null}}`, false},
		{"another's, csi-provisioner's finalizer", "b", `{"metadata":{"finalizers":["` + finalizer + `","kubernetes.io/pv-protection"]}}`, false},
		{"another's, without it again", "b", `{"metadata":{"finalizers":["kubernetes.io/pv-protection"]}}`, false},
		{"another's, another finalizer", "b", `{"metadata":{"finalizers":["example.com/x","kubernetes.io/pv-protection"]}}`, true},
		{"another's, without protection", "b", `{"metadata":{"finalizers":null}}`, true},
		{"another's, annotation", "b", `{"metadata":{"annotations":{"a":"b"}}}`, true},
		{"another's, label", "b", `{"metadata":{"labels":{"a":"b"}}}`, true},
		{"another's, an owner that takes it along", "b", `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"gone","uid":"1"}]}}`, true},
		{"another's, policy", "b", `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`, true},
		{"another driver's", "foreign", `{"metadata":{"annotations":{"a":"b"}}}`, true},
	} {
		_, err := a.CoreV1().PersistentVolumes().Patch(t.Context(), test.volume, types.MergePatchType, []byte(test.patch), metav1.PatchOptions{})
		verdict(t, "changing a volume: "+test.name, err, test.refused)
	}
	for volume, refused := range map[string]bool{"own": false, "b": true, "foreign": true} {
		err := a.CoreV1().PersistentVolumes().Delete(t.Context(), volume, metav1.DeleteOptions{})
		verdict(t, "deleting volume "+volume, err, refused)
	}

	b := plugin(t, s, admin, "node-b")
	verdict(t, "node-b deletes its own", b.CoreV1().PersistentVolumes().Delete(t.Context(), "b", metav1.DeleteOptions{}), false)
	unbound := withToken(t, s, admin, nil)
	_, err := unbound.CoreV1().PersistentVolumes().Create(t.Context(), volume("unbound", "node-b"), metav1.CreateOptions{})
	verdict(t, "a token that says no node", err, false)
	verdict(t, "an administrator deletes another driver's", admin.CoreV1().PersistentVolumes().Delete(t.Context(), "foreign", metav1.DeleteOptions{}), false)
}

func verdict(t *testing.T, what string, err error, refused bool) {
	t.Helper()
	switch {
	case !refused && err != nil:
		t.Errorf("%s: %v", what, err)
	case refused && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "hostdir on node node-a may")):
		t.Errorf("%s: %v, want a refusal of the policy", what, err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// install makes the policy and the plugins' rights as the rendered manifests have them.
func install(t *testing.T, admin *kubernetes.Clientset) {
	t.Helper()
	manifests, err := os.ReadFile("../../../deploy/kubernetes/hostdir.yaml")
	check(t, err)
	_, err = admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: home}}, metav1.CreateOptions{})
	check(t, err)
	made := 0
	for _, document := range bytes.Split(manifests, []byte("\n---\n")) {
		var of metav1.PartialObjectMetadata
		check(t, yaml.Unmarshal(document, &of))
		switch of.Kind + "/" + of.Name {
		case "ServiceAccount/" + account:
			_, err = admin.CoreV1().ServiceAccounts(home).Create(t.Context(), parse[corev1.ServiceAccount](t, document), metav1.CreateOptions{})
		case "ClusterRole/" + account:
			_, err = admin.RbacV1().ClusterRoles().Create(t.Context(), parse[rbacv1.ClusterRole](t, document), metav1.CreateOptions{})
		case "ClusterRoleBinding/" + account:
			_, err = admin.RbacV1().ClusterRoleBindings().Create(t.Context(), parse[rbacv1.ClusterRoleBinding](t, document), metav1.CreateOptions{})
		case "ValidatingAdmissionPolicy/hostdir-own-node":
			_, err = admin.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(t.Context(), parse[admissionv1.ValidatingAdmissionPolicy](t, document), metav1.CreateOptions{})
		case "ValidatingAdmissionPolicyBinding/hostdir-own-node":
			_, err = admin.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create(t.Context(), parse[admissionv1.ValidatingAdmissionPolicyBinding](t, document), metav1.CreateOptions{})
		default:
			continue
		}
		check(t, err)
		made++
	}
	if made != 5 {
		t.Fatalf("the manifests have %d of 5 objects", made)
	}
}

func parse[T any](t *testing.T, document []byte) *T {
	t.Helper()
	o := new(T)
	check(t, yaml.UnmarshalStrict(document, o))
	return o
}

// plugin is a client with the token of a pod on a node.
func plugin(t *testing.T, s *apiserver.Server, admin *kubernetes.Clientset, node string) *kubernetes.Clientset {
	t.Helper()
	pod, err := admin.CoreV1().Pods(home).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "on-" + node},
		Spec:       corev1.PodSpec{NodeName: node, ServiceAccountName: account, Containers: []corev1.Container{{Name: "c", Image: "none"}}},
	}, metav1.CreateOptions{})
	check(t, err)
	return withToken(t, s, admin, &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID})
}

// withToken is a client of the plugins' account, with a token that is bound to an object.
func withToken(t *testing.T, s *apiserver.Server, admin *kubernetes.Clientset, to *authenticationv1.BoundObjectReference) *kubernetes.Clientset {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: to}}
	answer, err := admin.CoreV1().ServiceAccounts(home).CreateToken(t.Context(), account, request, metav1.CreateOptions{})
	check(t, err)
	config := rest.AnonymousClientConfig(s.Config)
	config.BearerToken = answer.Status.Token
	return kubernetes.NewForConfigOrDie(config)
}

// awaitPolicy waits until the policy is in force: the API server compiles it on the side.
func awaitPolicy(t *testing.T, a *kubernetes.Clientset) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	for i := 0; ; i++ {
		_, err := a.CoreV1().PersistentVolumes().Create(ctx, volume(fmt.Sprint("early-", i), "node-b"), metav1.CreateOptions{})
		if apierrors.IsForbidden(err) && strings.Contains(err.Error(), "hostdir-own-node") {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the policy refuses nothing: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func volume(name string, nodes ...string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:               corev1.ResourceList{"storage": resource.MustParse("1Gi")},
			AccessModes:            []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.hostdir.io", VolumeHandle: "v-" + name}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "csi.hostdir.io/node", Operator: corev1.NodeSelectorOpIn, Values: nodes}},
			}}}},
		},
	}
}

func changed(v *corev1.PersistentVolume, change func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
	change(v)
	return v
}
