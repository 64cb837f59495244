package restore

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/hostdir/hostdir/pkg/controller/binding"
	"github.com/hostdir/hostdir/pkg/controller/restore"
	"github.com/hostdir/hostdir/tests/apiserver"
)

const (
	driver       = "csi.hostdir.io"
	release      = "hostdir-system" // the namespace of the release
	class        = "hostdir"
	immediate    = "hostdir-immediate"
	home         = "node-home" // which has all data
	away         = "node-away" // where the scheduler sees more room
	patience     = 60 * time.Second
	selectedNode = "volume.kubernetes.io/selected-node"
	// crds is the module whose CRDs the cluster gets.
	crds = "github.com/kubernetes-csi/external-snapshotter/client/v8@v8.6.0"
)

// world is a cluster of two nodes, and a namespace of it.
type world struct {
	*testing.T
	*apiserver.Server
	client.Client
	controller *apiserver.Server // as hostdir-controller sees it
	drivers    map[string]*csiDriver
	namespace  string
}

func start(t *testing.T) *world {
	s := apiserver.Start(t)
	s.Config.QPS = -1
	c, err := client.New(s.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, Server: s, Client: c, drivers: map[string]*csiDriver{}}
	w.controller = s.AsController(t, w, release, "../../../deploy/kubernetes/hostdir.yaml")
	yes, policy := true, corev1.PersistentVolumeReclaimDelete
	w.create(&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: driver}, Spec: storagev1.CSIDriverSpec{AttachRequired: new(bool), StorageCapacity: &yes}})
	for name, mode := range map[string]storagev1.VolumeBindingMode{class: storagev1.VolumeBindingWaitForFirstConsumer, immediate: storagev1.VolumeBindingImmediate} {
		w.create(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: driver, VolumeBindingMode: &mode, ReclaimPolicy: &policy})
	}
	for _, name := range []string{home, away} {
		w.addNode(name)
	}
	s.StartControllerManager(t, "persistentvolume-binder-controller", "persistentvolumeclaim-protection-controller", "persistentvolume-protection-controller")
	s.StartScheduler(t)
	return w
}

// addNode adds a node with csi-provisioner beside a driver.
func (w *world) addNode(name string) {
	w.Helper()
	n := apiserver.AddNode(w.T, w, driver, name)
	room := map[string]string{home: "5Gi", away: "1Ti"}[name]
	free := resource.MustParse(room)
	w.create(&storagev1.CSIStorageCapacity{
		ObjectMeta:       metav1.ObjectMeta{Namespace: release, Name: name, Labels: map[string]string{"csi.storage.k8s.io/drivername": driver}},
		StorageClassName: class, Capacity: &free, NodeTopology: &metav1.LabelSelector{MatchLabels: n.Labels},
	})
	d := &csiDriver{node: name, calls: map[string]int{}}
	w.drivers[name] = d
	w.StartProvisioner(w.T, name, d.serve(w.T), "--extra-create-metadata", "--kube-api-qps=50", "--kube-api-burst=100", "--node-deployment-base-delay=5s", "--node-deployment-max-delay=10s")
}

// begin is the world in a namespace of its own.
func (w *world) begin(t *testing.T) *world {
	o := *w
	o.T = t
	n := &corev1.Namespace{}
	n.GenerateName = "test-"
	o.create(n)
	o.namespace = n.Name
	t.Cleanup(func() {
		ctx := context.Background()
		o.must(o.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(o.namespace), client.GracePeriodSeconds(0)))
		o.must(o.DeleteAllOf(ctx, &corev1.PersistentVolumeClaim{}, client.InNamespace(o.namespace)))
	})
	return &o
}

// startLoops runs this loop, and the one that binds what is provisioned, with the rights
// of hostdir-controller.
func (w *world) startLoops(c *apiserver.Crash) (stop func()) {
	return w.controller.RunManager(w.T, c, func(m manager.Manager, _ *apiserver.Crash) error {
		if err := binding.Add(m, driver, binding.Options{Enabled: true, QPS: 100}); err != nil {
			return err
		}
		return restore.Add(m, driver, release)
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) create(o client.Object) {
	w.Helper()
	w.must(w.Create(context.Background(), o))
}

// installCRDs installs the kinds of snapshots, as their project publishes them.
func (w *world) installCRDs() {
	w.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", crds).Output()
	w.must(err)
	var module struct{ Dir string }
	w.must(json.Unmarshal(out, &module))
	folder := filepath.Join(module.Dir, "config", "crd")
	_, err = envtest.InstallCRDs(w.Config, envtest.CRDInstallOptions{Paths: []string{
		filepath.Join(folder, "snapshot.storage.k8s.io_volumesnapshots.yaml"), filepath.Join(folder, "snapshot.storage.k8s.io_volumesnapshotcontents.yaml"),
	}, ErrorIfPathMissing: true})
	w.must(err)
}

// snapshot makes a VolumeSnapshot with its content, as snapshot-controller and
// csi-snapshotter leave them.
func (w *world) snapshot(name string, change ...func(snapshot, content *unstructured.Unstructured)) *unstructured.Unstructured {
	w.Helper()
	contentName := w.namespace + "-" + name
	s := object("VolumeSnapshot", map[string]any{
		"metadata": map[string]any{"namespace": w.namespace, "name": name},
		"spec":     map[string]any{"source": map[string]any{"persistentVolumeClaimName": "gone"}},
	})
	s.Object["status"] = map[string]any{"boundVolumeSnapshotContentName": contentName, "readyToUse": true, "restoreSize": "1Gi"}
	c := object("VolumeSnapshotContent", map[string]any{
		"metadata": map[string]any{"name": contentName, "labels": map[string]any{"snapshot.storage.kubernetes.io/managed-by": home}},
		"spec": map[string]any{
			"driver": driver, "deletionPolicy": "Delete", "source": map[string]any{"volumeHandle": home + ".gone"},
			"volumeSnapshotRef": map[string]any{"namespace": w.namespace, "name": name},
		},
	})
	c.Object["status"] = map[string]any{"snapshotHandle": home + ".snapshots." + name, "readyToUse": true}
	for _, change := range change {
		change(s, c)
	}
	w.createWithStatus(s)
	w.must(unstructured.SetNestedField(c.Object, string(s.GetUID()), "spec", "volumeSnapshotRef", "uid"))
	w.createWithStatus(c)
	return s
}

func (w *world) createWithStatus(o *unstructured.Unstructured) {
	w.Helper()
	state := o.Object["status"]
	w.create(o)
	o.Object["status"] = state
	w.must(w.Status().Update(context.Background(), o))
}

func object(kind string, fields map[string]any) *unstructured.Unstructured {
	fields["apiVersion"], fields["kind"] = "snapshot.storage.k8s.io/v1", kind
	return &unstructured.Unstructured{Object: fields}
}

// claim makes a claim that begins as a snapshot.
func (w *world) claim(name, snapshot string, change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	w.Helper()
	one, group := class, "snapshot.storage.k8s.io"
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &one, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:  corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			DataSource: &corev1.TypedLocalObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: snapshot},
		},
	}
	for _, change := range change {
		change(c)
	}
	w.create(c)
	return c
}

func inClass(name string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = &name }
}

func selected(node string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) { c.Annotations = map[string]string{selectedNode: node} }
}

func ofSize(size string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) {
		c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse(size)
	}
}

// pod makes a pod that uses claims.
func (w *world) pod(name string, change func(*corev1.Pod), claims ...string) *corev1.Pod {
	w.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	for _, c := range claims {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: c, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c}}})
	}
	if change != nil {
		change(p)
	}
	w.create(p)
	return p
}

// await waits until a condition holds; what tells what is missing, "" if nothing is.
func (w *world) await(what func() string) {
	w.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		missing := what()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("after %s: %s\nevents: %q", patience, missing, w.events())
		}
	}
}

// wrong returns what keeps a claim from having a volume on the node that has the data.
func (w *world) wrong(c *corev1.PersistentVolumeClaim) string {
	if err := w.Get(context.Background(), client.ObjectKeyFromObject(c), c); err != nil {
		return err.Error()
	}
	if c.Status.Phase != corev1.ClaimBound {
		return fmt.Sprintf("claim %s is %s, with %v", c.Name, c.Status.Phase, c.Annotations)
	}
	v := &corev1.PersistentVolume{}
	if err := w.Get(context.Background(), client.ObjectKey{Name: c.Spec.VolumeName}, v); err != nil {
		return err.Error()
	}
	if handle := v.Spec.CSI.VolumeHandle; handle != home+"."+v.Name {
		w.Fatalf("claim %s has the volume %s", c.Name, handle)
	}
	return ""
}

// scheduled returns what keeps a pod from a node.
func (w *world) scheduled(p *corev1.Pod) string {
	if err := w.Get(context.Background(), client.ObjectKeyFromObject(p), p); err != nil {
		return err.Error()
	}
	if p.Spec.NodeName != home {
		return fmt.Sprintf("pod %s is on %q: %v", p.Name, p.Spec.NodeName, p.Status.Conditions)
	}
	return ""
}

// events returns those of the namespace, as "Kind Reason of Object: text".
func (w *world) events() (all []string) {
	var events corev1.EventList
	w.must(w.List(context.Background(), &events, client.InNamespace(w.namespace)))
	for _, e := range events.Items {
		all = append(all, fmt.Sprintf("%s %s of %s: %s", e.Type, e.Reason, e.InvolvedObject.Name, e.Message))
	}
	return all
}
