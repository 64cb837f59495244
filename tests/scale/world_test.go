package scale

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/tests/apiserver"
	"github.com/hostdir/hostdir/tests/cluster/programs"
	"github.com/hostdir/hostdir/tests/plugin"
)

const (
	driver  = "csi.hostdir.io"
	release = "hostdir-system" // the namespace of the release
	class   = "hostdir"
	node    = plugin.NodeName // the one whose programs are real
)

// world is a cluster in which hostdir is installed, with one node.
type world struct {
	*testing.T
	*apiserver.Server
	client.WithWatch
	plugin *plugin.Plugin
	// containers are those of the manifests, by name.
	containers map[string]corev1.Container
}

func start(t *testing.T) *world {
	p := plugin.Layout(t, "")
	p.Plain = true
	p.Run(t)
	s := apiserver.Start(t)
	s.Config.QPS = -1
	c, err := client.NewWithWatch(s.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, Server: s, WithWatch: c, plugin: p, containers: map[string]corev1.Container{}}
	w.installCRDs()
	for _, file := range []string{"namespace.yaml", "hostdir.yaml", "snapshots/snapshots.yaml"} {
		w.install(file)
	}
	w.readContainers()
	w.addNode()
	return w
}

// installCRDs installs the kinds of snapshots, as their project publishes them.
func (w *world) installCRDs() {
	w.Helper()
	folder, err := programs.SnapshotCRDs()
	w.must(err)
	var paths []string
	for _, kind := range []string{"volumesnapshots", "volumesnapshotcontents", "volumesnapshotclasses"} {
		paths = append(paths, filepath.Join(folder, "snapshot.storage.k8s.io_"+kind+".yaml"))
	}
	_, err = envtest.InstallCRDs(w.Config, envtest.CRDInstallOptions{Paths: paths, ErrorIfPathMissing: true})
	w.must(err)
}

// documents are those of a file of deploy/kubernetes.
func (w *world) documents(file string) (all []*unstructured.Unstructured) {
	w.Helper()
	text, err := os.ReadFile(filepath.Join("../../deploy/kubernetes", file))
	w.must(err)
	for _, document := range strings.Split(string(text), "\n---\n") {
		o := &unstructured.Unstructured{}
		w.must(yaml.Unmarshal([]byte(document), &o.Object))
		if o.Object != nil { // not only comments
			all = append(all, o)
		}
	}
	return all
}

func (w *world) install(file string) {
	w.Helper()
	for _, o := range w.documents(file) {
		w.create(o)
	}
}

// readContainers finds out with which arguments the programs are installed.
func (w *world) readContainers() {
	w.Helper()
	for _, o := range append(w.documents("hostdir.yaml"), w.documents("snapshots/daemonset.yaml")...) {
		if kind := o.GetKind(); kind != "DaemonSet" && kind != "Deployment" {
			continue
		}
		text, err := yaml.Marshal(o)
		w.must(err)
		var installed appsv1.Deployment // of a DaemonSet, the pods are at the same place
		w.must(yaml.Unmarshal(text, &installed))
		for _, c := range installed.Spec.Template.Spec.Containers {
			w.containers[c.Name] = c
		}
	}
}

// addNode adds the node, and hostdir's pod on it, from which csi-provisioner finds the
// DaemonSet.
func (w *world) addNode() {
	w.Helper()
	apiserver.AddNode(w.T, w, driver, node)
	set := &appsv1.DaemonSet{}
	w.must(w.Get(w.Context(), client.ObjectKey{Namespace: release, Name: "hostdir-node"}, set))
	yes := true
	w.create(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: release, Name: "hostdir-node-x", OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: set.Name, UID: set.UID, Controller: &yes}}},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "hostdir", Image: "none"}}},
	})
}

// A running program, and its meter.
type running struct {
	*meter
	pid  int
	stop func()
}

// runContainer runs the program of a container of the manifests, with its arguments and
// rights. Further arguments come last, and win.
func (w *world) runContainer(name string, more ...string) running {
	w.Helper()
	account, socket := "hostdir-node", w.plugin.Socket
	program := name
	switch name {
	case "csi-resizer":
		account, socket = "hostdir-controller", w.controllerSocket()
	case "hostdir-controller":
		account, program = name, w.controllerProgram()
	}
	values := map[string]string{"NODE_NAME": node, "NAMESPACE": release, "POD_NAME": "hostdir-node-x"}
	var environment []string
	var args []string
	for _, arg := range w.containers[name].Args {
		for key, value := range values {
			arg = strings.ReplaceAll(arg, "$("+key+")", value)
		}
		args = append(args, arg)
	}
	for key, value := range values {
		environment = append(environment, key+"="+value)
	}
	m := w.newMeter(account)
	args = append(args, "--kubeconfig="+m.kubeconfig)
	if name == "hostdir-controller" {
		args = append(args, "--endpoint=unix://"+w.controllerSocket(), "--http-address=127.0.0.1:0")
	} else {
		args = append(args, "--csi-address="+socket)
	}
	pid, stop := w.Server.Run(w.T, program, environment, append(args, more...)...)
	return running{m, pid, stop}
}

// controllerSocket is where hostdir-controller serves CSI.
func (w *world) controllerSocket() string {
	return filepath.Join(filepath.Dir(w.plugin.Socket), "controller", "csi.sock")
}

// controllerProgram builds hostdir-controller.
func (w *world) controllerProgram() string {
	w.Helper()
	path := filepath.Join(w.TempDir(), "hostdir-controller")
	build := exec.Command("go", "build", "-o", path, "github.com/hostdir/hostdir/cmd/hostdir-controller")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		w.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// asAccount is the configuration of a client with the rights of a service account of
// hostdir's, or of an administrator if that is "".
func (w *world) asAccount(account string) *rest.Config {
	config := rest.CopyConfig(w.Config)
	if account != "" {
		config.Impersonate.UserName = "system:serviceaccount:" + release + ":" + account
	}
	return config
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) create(o client.Object) {
	w.Helper()
	w.must(w.Create(w.Context(), o))
}

// await waits until something holds; what says what is awaited.
func (w *world) await(what string, holds func(context.Context) bool) {
	w.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(w.Context()); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("after two minutes: %s", what)
		}
	}
}
