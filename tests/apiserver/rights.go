package apiserver

import (
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// AsController makes the namespace of a release and the rights that hostdir-controller
// is installed with, and returns the server as hostdir-controller sees it.
func (s *Server) AsController(t testing.TB, c client.Client, release, manifests string) *Server {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: release}}))
	text, err := os.ReadFile(manifests)
	must(err)
	granted := 0
	for _, document := range strings.Split(string(text), "\n---\n") {
		o := &unstructured.Unstructured{}
		must(yaml.Unmarshal([]byte(document), o))
		if strings.HasPrefix(o.GetAPIVersion(), "rbac.authorization.k8s.io/") && o.GetName() == "hostdir-controller" {
			must(c.Create(t.Context(), o))
			granted++
		}
	}
	if granted != 4 {
		t.Fatalf("%d roles and bindings of hostdir-controller are installed", granted)
	}
	as := *s
	as.Config = rest.CopyConfig(s.Config)
	as.Config.Impersonate.UserName = "system:serviceaccount:" + release + ":hostdir-controller"
	return &as
}
