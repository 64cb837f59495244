package reuse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/tests/apiserver"
)

const (
	driver    = "csi.hostdir.io"
	class     = "hostdir-reuse"
	finalizer = "csi.hostdir.io/reuse"
	patience  = 40 * time.Second
)

// cluster is a Kubernetes with two nodes that run nothing.
type cluster struct {
	client.WithWatch
	server *apiserver.Server
	scheme *runtime.Scheme
	top    *testing.T
	// stopBinder ends what binds claims.
	stopBinder func()
}

func (c *cluster) startBinder(t *testing.T) {
	t.Helper()
	c.stopBinder = c.server.StartControllerManager(t, "persistentvolume-binder-controller")
}

func start(t *testing.T) *cluster {
	t.Helper()
	s := apiserver.Start(t)
	c := &cluster{server: s, scheme: runtime.NewScheme(), top: t}
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, storagev1.AddToScheme, rbacv1.AddToScheme, appsv1.AddToScheme, eventsv1.AddToScheme, admissionv1.AddToScheme} {
		if err := add(c.scheme); err != nil {
			t.Fatal(err)
		}
	}
	s.Config.QPS = -1
	var err error
	if c.WithWatch, err = client.NewWithWatch(s.Config, client.Options{Scheme: c.scheme}); err != nil {
		t.Fatal(err)
	}
	c.install(t)
	for _, name := range []string{"node-a", "node-b"} {
		apiserver.AddNode(t, c, driver, name)
	}
	c.startBinder(t)
	s.StartControllerManager(t, "persistentvolumeclaim-protection-controller", "persistentvolume-protection-controller",
		"namespace-controller", "statefulset-controller", "garbage-collector-controller")
	s.StartScheduler(t)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go c.provision(ctx)
	go apiserver.EndPods(ctx, c)
	return c
}

// install makes what the manifests bring and this needs: classes, policies, rights.
func (c *cluster) install(t *testing.T) {
	t.Helper()
	manifests, err := os.ReadFile("../../../deploy/kubernetes/hostdir.yaml")
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, document := range bytes.Split(manifests, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			t.Fatal(err)
		}
		var o client.Object
		switch kind.Kind {
		case "StorageClass":
			o = &storagev1.StorageClass{}
		case "CSIDriver":
			o = &storagev1.CSIDriver{}
		case "ValidatingAdmissionPolicy":
			o = &admissionv1.ValidatingAdmissionPolicy{}
		case "ValidatingAdmissionPolicyBinding":
			o = &admissionv1.ValidatingAdmissionPolicyBinding{}
		case "ClusterRole":
			o = &rbacv1.ClusterRole{}
		case "ClusterRoleBinding":
			o = &rbacv1.ClusterRoleBinding{}
		default:
			continue
		}
		if err := yaml.UnmarshalStrict(document, o); err != nil {
			t.Fatal(err)
		}
		if d, ok := o.(*storagev1.CSIDriver); ok {
			d.Spec.StorageCapacity = new(bool) // nobody publishes any here
		}
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		made++
	}
	if made < 12 {
		t.Fatalf("%d objects are made of the manifests: they lack some", made)
	}
}

// provision makes a volume for each claim for which the scheduler has chosen a node, as
// csi-provisioner does.
func (c *cluster) provision(ctx context.Context) {
	for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		var claims corev1.PersistentVolumeClaimList
		if c.List(ctx, &claims) != nil {
			continue
		}
		for _, claim := range claims.Items {
			node := claim.Annotations["volume.kubernetes.io/selected-node"]
			if node == "" || claim.Spec.VolumeName != "" {
				continue
			}
			c.Create(ctx, volumeFor(&claim, node)) // if there is one, it fails
		}
	}
}

func volumeFor(claim *corev1.PersistentVolumeClaim, node string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + string(claim.UID), Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": driver}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      claim.Spec.Resources.Requests,
			AccessModes:                   claim.Spec.AccessModes,
			VolumeMode:                    claim.Spec.VolumeMode,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			StorageClassName:              *claim.Spec.StorageClassName,
			ClaimRef: &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name,
				UID: claim.UID, ResourceVersion: claim.ResourceVersion},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: driver, VolumeHandle: "handle-" + string(claim.UID), VolumeAttributes: map[string]string{"reuse": "same-claim"}}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: driver + "/node", Operator: corev1.NodeSelectorOpIn, Values: []string{node}}}}}}},
		},
	}
}

// tenant is a namespace.
type tenant struct {
	*testing.T
	*cluster
	namespace string
}

func (c *cluster) tenant(t *testing.T, name string) *tenant {
	t.Helper()
	self := &tenant{t, c, name}
	self.makeNamespace()
	return self
}

func (t *tenant) makeNamespace() {
	t.Helper()
	t.eventually("the namespace "+t.namespace+" is made", func() error {
		return t.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: t.namespace}})
	})
}

func (t *tenant) deleteNamespace() {
	t.Helper()
	t.check(client.IgnoreNotFound(t.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: t.namespace}})))
}

func (t *tenant) namespaceGoes() {
	t.Helper()
	t.eventually("the namespace "+t.namespace+" is gone", func() error {
		// Its controller looks again when it is changed, and otherwise after a while.
		t.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: t.namespace}},
			client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{"now":"%d"}}}`, time.Now().Unix())))
		return gone(t.Get(t.Context(), types.NamespacedName{Name: t.namespace}, &corev1.Namespace{}))
	})
}

func newClaim(namespace, name string, change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	class := class
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class,
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
	for _, f := range change {
		f(claim)
	}
	return claim
}

func asking(size string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) {
		c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse(size)
	}
}

func podSpec(claim string) corev1.PodSpec {
	return corev1.PodSpec{
		Containers: []corev1.Container{{Name: "main", Image: "none"}},
		Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}},
	}
}

func (t *tenant) makeClaim(name string, change ...func(*corev1.PersistentVolumeClaim)) {
	t.Helper()
	t.check(t.Create(t.Context(), newClaim(t.namespace, name, change...)))
}

// makePod makes a pod with a claim, on any node or on one.
func (t *tenant) makePod(claim string, node ...string) {
	t.Helper()
	p := &corev1.Pod{ObjectMeta: meta(t.namespace, "pod-"+claim), Spec: podSpec(claim)}
	for _, n := range node {
		p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: n}
	}
	t.check(t.Create(t.Context(), p))
}

func (t *tenant) deletePods() {
	t.Helper()
	t.check(t.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(t.namespace), client.GracePeriodSeconds(0)))
}

func (t *tenant) claim(name string) (*corev1.PersistentVolumeClaim, error) {
	claim := &corev1.PersistentVolumeClaim{}
	return claim, t.Get(t.Context(), types.NamespacedName{Namespace: t.namespace, Name: name}, claim)
}

func (t *tenant) deleteClaim(name string) {
	t.Helper()
	t.check(t.Delete(t.Context(), newClaim(t.namespace, name)))
}

func (t *tenant) claimGoes(name string) {
	t.Helper()
	t.eventually("claim "+name+" is gone", func() error { _, err := t.claim(name); return gone(err) })
}

// binds waits until a claim is bound, and returns its volume.
func (t *tenant) binds(name string) *corev1.PersistentVolume {
	t.Helper()
	v := &corev1.PersistentVolume{}
	t.eventually("claim "+name+" is bound", func() error {
		claim, err := t.claim(name)
		if err != nil || claim.Status.Phase != corev1.ClaimBound {
			return fmt.Errorf("it is %v (%v)", claim.Status.Phase, err)
		}
		if err := t.Get(t.Context(), types.NamespacedName{Name: claim.Spec.VolumeName}, v); err != nil {
			return err
		}
		if v.Status.Phase != corev1.VolumeBound || v.Spec.ClaimRef.UID != claim.UID {
			return fmt.Errorf("its volume is %s", say(v))
		}
		return nil
	})
	return v
}

// held waits until a claim is bound and held, and returns its volume.
func (t *tenant) held(name string) *corev1.PersistentVolume {
	t.Helper()
	v := t.binds(name)
	t.eventually("claim "+name+" is held", func() error {
		claim, err := t.claim(name)
		if err != nil || !slices.Contains(claim.Finalizers, finalizer) {
			return fmt.Errorf("its finalizers are %q (%v)", claim.Finalizers, err)
		}
		return nil
	})
	return v
}

// volumes are those of a handle, or with "" of the namespace.
func (t *tenant) volumes(handle string) (found []corev1.PersistentVolume) {
	t.Helper()
	var all corev1.PersistentVolumeList
	t.check(t.List(t.Context(), &all))
	for _, v := range all.Items {
		if v.Spec.CSI.VolumeHandle == handle || handle == "" && v.Spec.ClaimRef.Namespace == t.namespace {
			found = append(found, v)
		}
	}
	return found
}

// settles waits until a handle has one PersistentVolume, in a phase.
func (t *tenant) settles(handle string, phase corev1.PersistentVolumePhase) *corev1.PersistentVolume {
	t.Helper()
	var v *corev1.PersistentVolume
	t.eventually(handle+" has one PersistentVolume, "+string(phase), func() error {
		all := t.volumes(handle)
		if len(all) != 1 || all[0].Status.Phase != phase || all[0].DeletionTimestamp != nil {
			var text []string
			for i := range all {
				text = append(text, say(&all[i]))
			}
			return errors.New(strings.Join(text, "; "))
		}
		v = &all[0]
		return nil
	})
	return v
}

func say(v *corev1.PersistentVolume) string {
	return fmt.Sprintf("%s of %s: %s, claimRef %s/%s %q", v.Name, v.Spec.CSI.VolumeHandle, v.Status.Phase, v.Spec.ClaimRef.Namespace, v.Spec.ClaimRef.Name, v.Spec.ClaimRef.UID)
}

// told waits for an event about an object.
func (t *tenant) told(o client.Object, reason, text string) {
	t.Helper()
	t.eventually(fmt.Sprintf("an event %s about %s says %q", reason, o.GetName(), text), func() error {
		var all eventsv1.EventList
		if err := t.List(t.Context(), &all); err != nil {
			return err
		}
		var said []string
		for _, e := range all.Items {
			if e.Regarding.UID != o.GetUID() {
				continue
			}
			said = append(said, e.Reason+": "+e.Note)
			if e.Reason == reason && strings.Contains(e.Note, text) {
				return nil
			}
		}
		return fmt.Errorf("there are %q", said)
	})
}

func gone(err error) error {
	if err == nil {
		return errors.New("it is there")
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (t *tenant) check(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (t *tenant) eventually(what string, met func() error) {
	t.Helper()
	err := met()
	for deadline := time.Now().Add(patience); err != nil; err = met() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain until %s: %v", patience, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}
