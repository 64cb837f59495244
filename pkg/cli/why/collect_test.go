package why

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// objects are those of a world, as the API server has them.
func objects(w *World) (all []runtime.Object) {
	add := func(o runtime.Object) { all = append(all, o.DeepCopyObject()) }
	classes := map[string]bool{}
	for _, c := range slices.Concat(w.Claims, w.Others) {
		if c.Object != nil {
			add(c.Object)
		}
		if c.Class != nil && !classes[c.Class.Name] {
			classes[c.Class.Name] = true
			add(c.Class)
		}
		if c.Volume != nil {
			add(c.Volume)
		}
		for i := range c.Reserved {
			add(&c.Reserved[i])
		}
	}
	for _, c := range w.Claims {
		if o := c.Origin; o != nil && o.Claim != nil {
			add(o.Claim)
		}
		if o := c.Origin; o != nil && o.Volume != nil {
			add(o.Volume)
		}
	}
	for i := range w.Pods {
		add(&w.Pods[i])
	}
	for i := range w.Nodes {
		add(&w.Nodes[i])
	}
	for i := range w.CSINodes {
		add(&w.CSINodes[i])
	}
	for i := range w.Capacities {
		add(&w.Capacities[i])
	}
	for _, p := range slices.Concat(w.Plugins, w.Controllers) {
		add(&p)
	}
	if w.CSIDriver != nil {
		add(w.CSIDriver)
	}
	return all
}

// source answers for the nodes as the world does.
func source(w *World, extra ...runtime.Object) (Source, *fake.Clientset, *string) {
	clients := fake.NewClientset(append(objects(w), extra...)...)
	asked := "nobody was asked"
	return Source{Clients: clients, Dynamic: snapshots(w), System: testSystem, Driver: testDriver, Ask: func(_ context.Context, q Question) ([]Answer, []Unseen) {
		asked = q.Node
		return w.Answers, nil
	}}, clients, &asked
}

// snapshots are a world's as the API server has them, or an API server that does not know
// them.
func snapshots(w *World) *dynamicfake.FakeDynamicClient {
	var all []runtime.Object
	unknown := false
	for _, c := range slices.Concat(w.Claims, w.Others) {
		o := c.Origin
		if o == nil {
			continue
		}
		unknown = unknown || o.NoKind
		if s := o.Snapshot; s != nil {
			u := newSnapshotObject(snapshotKind, o.Name)
			u.SetNamespace(o.Namespace)
			if s.Deleting {
				now := metav1.NewTime(testNow)
				u.SetDeletionTimestamp(&now)
			}
			status := map[string]any{"readyToUse": s.Ready}
			if s.Content != "" {
				status["boundVolumeSnapshotContentName"] = s.Content
			}
			if s.SizeBytes > 0 {
				status["restoreSize"] = resource.NewQuantity(s.SizeBytes, resource.BinarySI).String()
			}
			if s.Error != "" {
				status["error"] = map[string]any{"message": s.Error}
			}
			u.Object["status"] = status
			all = append(all, u)
		}
		if content := o.Content; content != nil {
			u := newSnapshotObject("VolumeSnapshotContent", content.Name)
			if content.Node != "" {
				u.SetLabels(map[string]string{managedBy: content.Node})
			}
			u.Object["spec"] = map[string]any{"driver": content.Driver, "source": map[string]any{"volumeHandle": content.Handle}}
			if strings.Contains(content.Handle, ".snapshots.") {
				u.Object["status"] = map[string]any{"snapshotHandle": content.Handle}
			}
			all = append(all, u)
		}
	}
	client := dynamicfake.NewSimpleDynamicClient(runtime.NewScheme(), all...)
	if unknown {
		client.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewGenericServerResponse(404, "GET", snapshotResource.GroupResource(), "nightly", "404 page not found", 0, true)
		})
	}
	return client
}

func newSnapshotObject(kind, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetAPIVersion(snapshotGroup + "/v1")
	u.SetKind(kind)
	u.SetName(name)
	return u
}

func event(o metav1.Object, kind, reason, text string) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: string(o.GetUID()) + reason, Namespace: "shop"},
		InvolvedObject: corev1.ObjectReference{Kind: kind, Name: o.GetName(), UID: o.GetUID()},
		Type:           corev1.EventTypeWarning, Reason: reason, Message: text, LastTimestamp: metav1.NewTime(testNow),
	}
}

func forbid(clients *fake.Clientset, allowed ...string) {
	clients.PrependReactor("*", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		resource := a.GetResource()
		if slices.Contains(allowed, resource.Resource) && a.GetNamespace() == "shop" {
			return false, nil, nil
		}
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: resource.Group, Resource: resource.Resource}, "", errors.New("no"))
	})
}

// TestCollectedWorldsSayTheSame: what is collected from an API server is diagnosed as
// the world that the server was filled from.
func TestCollectedWorldsSayTheSame(t *testing.T) {
	for _, s := range scenarios {
		if len(s.world.Unseen) > 0 || s.world.Pod != nil {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			var extra []runtime.Object
			for i := range s.world.Events {
				e := s.world.Events[i].DeepCopy()
				e.Name, e.Namespace = "event", "shop"
				switch o := &e.InvolvedObject; o.Kind {
				case "PersistentVolumeClaim":
					o.UID = types.UID("uid-" + o.Name)
				case "Pod":
					o.UID = types.UID("uid-pod-" + o.Name)
				case "PersistentVolume":
					o.UID, e.Namespace = types.UID("uid-pv-"+o.Name[len("pvc-"):]), metav1.NamespaceDefault
				}
				extra = append(extra, e)
			}
			from, _, _ := source(s.world, extra...)
			w, err := from.Collect(t.Context(), s.world.Subject)
			if err != nil {
				t.Fatal(err)
			}
			w.Now = s.world.Now
			if c := Diagnose(w); c.Name != s.want {
				t.Errorf("%s (%s; %q), want %s", c.Name, c.Says, c.Evidence, s.want)
			}
			if len(w.Unseen) > 0 {
				t.Errorf("could not look at %v", w.Unseen)
			}
		})
	}
}

func TestCollectWithRightsInOneNamespace(t *testing.T) {
	before := sound(pending)
	claim := before.Claims[0].Object
	from, clients, _ := source(before, event(claim, "PersistentVolumeClaim", "ProvisioningFailed", `node a has no pool "default" in hostdir's configuration`))
	forbid(clients, "persistentvolumeclaims", "pods", "events")
	from.Ask = func(context.Context, Question) ([]Answer, []Unseen) {
		return nil, []Unseen{{NodePlugins, "pods is forbidden"}}
	}
	w, err := from.Collect(t.Context(), Subject{Namespace: "shop", Name: "data"})
	if err != nil {
		t.Fatal(err)
	}
	var not []What
	for _, u := range w.Unseen {
		not = append(not, u.What)
		if u.Why == "" || u.What != NodePlugins && !strings.HasPrefix(u.Why, "you may not") {
			t.Errorf("of %s it says %q", u.What, u.Why)
		}
	}
	slices.Sort(not)
	want := []What{Classes, Volumes, Nodes, CSINodes, CSIDrivers, Capacities, PluginPods, NodePlugins}
	slices.Sort(want)
	if !slices.Equal(not, want) {
		t.Errorf("not looked at: %q, want %q", not, want)
	}
	w.Now = testNow
	if c := Diagnose(w); c.Name != PoolUnknown || !c.Sure || len(c.Unseen) != len(want) {
		t.Errorf("%+v", c)
	}
}

// TestCollectWithoutOneRight: what is forbidden is noted once, and never fatal but for
// the subject.
func TestCollectWithoutOneRight(t *testing.T) {
	for resource, what := range map[string]What{
		"storageclasses": Classes, "persistentvolumes": Volumes, "nodes": Nodes, "csinodes": CSINodes, "csidrivers": CSIDrivers,
		"csistoragecapacities": Capacities, "events": Events, "pods": Pods,
	} {
		t.Run(resource, func(t *testing.T) {
			from, clients, _ := source(sound(pending))
			clients.PrependReactor("*", resource, func(a clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no"))
			})
			w, err := from.Collect(t.Context(), Subject{Namespace: "shop", Name: "data", Kind: ClaimKind})
			if err != nil {
				t.Fatal(err)
			}
			if w.saw(what) {
				t.Errorf("nothing is said of %s: %v", what, w.Unseen)
			}
			if c := Diagnose(w); len(c.Evidence) == 0 || c.Next == "" {
				t.Errorf("%+v", c)
			}
		})
	}
	from, clients, _ := source(sound())
	forbid(clients, "pods")
	if _, err := from.Collect(t.Context(), Subject{Namespace: "shop", Name: "data"}); !apierrors.IsForbidden(err) {
		t.Errorf("the claim is forbidden, and the error is %v", err)
	}
}

func TestCollectFindsWhatIsMeant(t *testing.T) {
	from, _, _ := source(sound())
	for _, test := range []struct {
		subject Subject
		kind    string
		pod     bool
		claims  int
	}{
		{Subject{Namespace: "shop", Name: "data"}, ClaimKind, false, 1},
		{Subject{Namespace: "shop", Name: "web"}, PodKind, true, 1},
		{Subject{Namespace: "shop", Name: "web", Kind: PodKind}, PodKind, true, 1},
		{Subject{Namespace: "shop", Name: "neither"}, ClaimKind, false, 1},
		{Subject{Namespace: "shop", Name: "data", Kind: PodKind}, PodKind, false, 0},
	} {
		w, err := from.Collect(t.Context(), test.subject)
		if err != nil {
			t.Fatal(err)
		}
		if w.Subject.Kind != test.kind || (w.Pod != nil) != test.pod || len(w.Claims) != test.claims {
			t.Errorf("%v: kind %q, pod %v, %d claims", test.subject, w.Subject.Kind, w.Pod, len(w.Claims))
		}
	}
	for want, w := range map[string]*World{"a": sound(), "": sound(pending)} {
		from, _, asked := source(w)
		if _, err := from.Collect(t.Context(), Subject{Namespace: "shop", Name: "data"}); err != nil || *asked != want {
			t.Errorf("asked node %q (%v), want %q", *asked, err, want)
		}
	}
}

// TestEventsOfFormerClaims: a claim of this name was there before.
func TestEventsOfFormerClaims(t *testing.T) {
	former := testClaim("data").Object
	former.UID = "uid-former"
	from, _, _ := source(sound(), event(former, "PersistentVolumeClaim", "ProvisioningFailed", "has room for nothing"))
	w, err := from.Collect(t.Context(), Subject{Namespace: "shop", Name: "data"})
	if err != nil || len(w.Events) != 0 {
		t.Errorf("%v, %v", w.Events, err)
	}
}

// TestCollectSnapshotsWithoutRights: the API server knows snapshots, and does not show them.
func TestCollectSnapshotsWithoutRights(t *testing.T) {
	for resource, what := range map[string]What{"volumesnapshots": Snapshots, "volumesnapshotcontents": Contents} {
		from, _, _ := source(sound(restoring))
		from.Dynamic.(*dynamicfake.FakeDynamicClient).PrependReactor("*", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: snapshotGroup, Resource: resource}, "nightly", errors.New("no"))
		})
		w, err := from.Collect(t.Context(), Subject{Namespace: "shop", Name: "data"})
		if err != nil || w.saw(what) || w.Claims[0].Origin == nil || w.Claims[0].Origin.Content != nil {
			t.Errorf("without %s: %v, %v, %+v", resource, err, w.Unseen, w.Claims[0].Origin)
		}
		if c := Diagnose(w); c.Name == SourceMissing || len(c.Unseen) == 0 {
			t.Errorf("without %s: %+v", resource, c)
		}
	}
}

// TestCollectAsksForSnapshots: only nodes that have what a claim begins as are asked.
func TestCollectAsksForSnapshots(t *testing.T) {
	for _, test := range []struct {
		world *World
		want  []string
	}{{sound(), nil}, {sound(pending), nil}, {sound(restoring), []string{"uuid-a"}}, {sound(cloning), []string{"uuid-a"}}} {
		from, _, _ := source(test.world)
		var asked Question
		from.Ask = func(_ context.Context, q Question) ([]Answer, []Unseen) { asked = q; return nil, nil }
		if _, err := from.Collect(t.Context(), Subject{Namespace: "shop", Name: "data"}); err != nil || !slices.Equal(asked.Disks, test.want) {
			t.Errorf("asked %+v (%v), want %q", asked, err, test.want)
		}
	}
}
