package nodeloss

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// A random cluster has nodes that come and go, some with other disks, people who give
// volumes up, the part of Kubernetes that follows a deletion, and provisioners that delete
// the data of Released volumes of the nodes that are there.
type cluster struct {
	*testing.T
	client.WithWatch
	rand   *rand.Rand
	now    time.Time
	loop   *nodeloss
	disks  map[string]string // the disk of a node
	absent map[string]time.Time
	data   map[string]bool // the volumes whose data exists, by handle
	byHand map[types.UID]bool
	acted  []time.Time // when a volume was secured by itself
	fails  float64     // the share of writes that fail
	often  int         // how often nodes come and go
	log    []string
}

func TestRandomClusters(t *testing.T) {
	runs := 4
	if testing.Short() {
		runs = 2
	}
	for seed := range runs {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, uint64(seed))
			for range 40 {
				c.happen()
				c.now = c.now.Add(time.Duration(c.rand.IntN(240)) * time.Second)
				c.reconcile()
				c.kubernetes()
				if t.Failed() {
					t.Fatalf("what happened:\n%s", strings.Join(c.log, "\n"))
				}
			}
			c.settle()
			if t.Failed() {
				t.Logf("what happened:\n%s", strings.Join(c.log, "\n"))
			}
		})
	}
}

const perHour = 1

func newCluster(t *testing.T, seed uint64) *cluster {
	c := &cluster{T: t, rand: rand.New(rand.NewPCG(seed, 1)), now: now, disks: map[string]string{}, absent: map[string]time.Time{}, data: map[string]bool{}, byHand: map[types.UID]bool{}}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, coordinationv1.AddToScheme, storagev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c.WithWatch = fake.NewClientBuilder().WithScheme(scheme).Build()
	policies := []config.NodeLossPolicy{config.NodeLossKeep, config.NodeLossRelease, config.NodeLossRecreate, config.NodeLossRecreate}
	for n := range 2 + c.rand.IntN(11) {
		node := fmt.Sprintf("node-%d", n)
		c.disks[node] = "disk-" + node
		c.must(c.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}))
		for i := range c.rand.IntN(4) {
			name := fmt.Sprintf("data-set%d-%d", i, n)
			v := onLoss(newVolume(name, node), policies[c.rand.IntN(len(policies))])
			c.data[v.Spec.CSI.VolumeHandle] = true
			if c.rand.IntN(4) == 0 {
				released(v)
				// Somebody else's to keep: one with Delete would go at once, and rightly.
				v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
				v.Finalizers = v.Finalizers[:1]
			} else {
				c.must(c.Create(t.Context(), newClaim(v)))
				p := ready(newPod(fmt.Sprintf("set%d", i), fmt.Sprintf("set%d-%d", i, n)))
				p.Spec.NodeName = node
				c.must(c.Create(t.Context(), &p))
			}
			c.must(c.Create(t.Context(), v))
		}
	}
	c.fails = []float64{0, 0.3}[c.rand.IntN(2)]
	c.often = []int{1, 3}[c.rand.IntN(2)]
	failing := interceptor.NewClient(c.WithWatch, interceptor.Funcs{
		Patch: func(ctx context.Context, w client.WithWatch, o client.Object, p client.Patch, options ...client.PatchOption) error {
			return c.write(o, "patch", func() error { return w.Patch(ctx, o, p, options...) })
		},
		Update: func(ctx context.Context, w client.WithWatch, o client.Object, options ...client.UpdateOption) error {
			return c.write(o, "update", func() error { return w.Update(ctx, o, options...) })
		},
		Create: func(ctx context.Context, w client.WithWatch, o client.Object, options ...client.CreateOption) error {
			return c.write(o, "create", func() error { return w.Create(ctx, o, options...) })
		},
		Delete: func(ctx context.Context, w client.WithWatch, o client.Object, options ...client.DeleteOption) error {
			c.onDelete(o)
			return c.write(o, "delete", func() error { return w.Delete(ctx, o, options...) })
		},
	})
	c.loop = &nodeloss{
		driver: driver, namespace: "hostdir-system", options: Options{Grace: 10 * time.Minute, PerHour: perHour},
		cached: failing, live: c.WithWatch, recorder: &events.FakeRecorder{}, clock: func() time.Time { return c.now },
		disksOf: func(_ context.Context, node string) (map[string]bool, error) {
			if c.rand.IntN(3) == 0 {
				return nil, fmt.Errorf("no answer")
			}
			return map[string]bool{c.disks[node]: true}, nil
		},
	}
	return c
}

func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) say(format string, arguments ...any) {
	c.log = append(c.log, c.now.Format(time.TimeOnly)+" "+fmt.Sprintf(format, arguments...))
}

// write does a write, or fails before it or after it.
func (c *cluster) write(o client.Object, verb string, do func() error) error {
	name := o.GetName()
	if c.rand.Float64() < c.fails {
		return fmt.Errorf("the API server is away")
	}
	before := ""
	if v, ok := o.(*corev1.PersistentVolume); ok {
		before = fmt.Sprint(isSecured(v))
	}
	err := do()
	c.say("%s %T %s: %v", verb, o, name, err)
	if v, ok := o.(*corev1.PersistentVolume); ok && err == nil && verb == "patch" && before == "false" && isSecured(v) {
		c.onSecure(v)
	}
	if err == nil && c.rand.Float64() < c.fails {
		return fmt.Errorf("the answer is lost")
	}
	return err
}

// onSecure holds the grace and the brakes.
func (c *cluster) onSecure(v *corev1.PersistentVolume) {
	node := nodeOf(v)
	if c.byHand[v.UID] {
		return
	}
	since, absent := c.absent[node]
	if !absent || c.now.Sub(since) < c.loop.options.Grace {
		c.Errorf("%s is given up while node %s is absent for %v", v.Name, node, c.now.Sub(since))
	}
	c.acted = append(slices.DeleteFunc(c.acted, func(at time.Time) bool { return c.now.Sub(at) >= time.Hour }), c.now)
	if len(c.acted) > perHour {
		c.Errorf("%s is given up, the volume number %d within an hour", v.Name, len(c.acted))
	}
	// All that went in the minutes before went together with it.
	together := map[string]bool{}
	for _, other := range c.volumes() {
		n := nodeOf(&other)
		if at, gone := c.absent[n]; gone && at.Sub(since).Abs() < 50*time.Minute && !c.allByHand(n) && c.now.After(at) {
			together[n] = true
		}
	}
	if limit := max(1, len(c.disks)/10); len(together) > limit {
		c.Errorf("%s is given up, with %d nodes of %d absent", v.Name, len(together), len(c.disks))
	}
}

func (c *cluster) allByHand(node string) bool {
	for _, v := range c.volumes() {
		if nodeOf(&v) == node && !c.byHand[v.UID] {
			return false
		}
	}
	return true
}

// onDelete holds what may be deleted.
func (c *cluster) onDelete(o client.Object) {
	switch o := o.(type) {
	case *corev1.PersistentVolumeClaim:
		var p corev1.Pod
		pod := strings.TrimPrefix(o.Name, "data-")
		c.must(c.Get(c.Context(), types.NamespacedName{Namespace: "shop", Name: pod}, &p))
		if p.Status.Phase != corev1.PodPending || p.Spec.NodeName != "" {
			c.Errorf("claim %s is deleted under its pod", o.Name)
		}
		set, _, _ := strings.Cut(pod, "-")
		var pods corev1.PodList
		c.must(c.List(c.Context(), &pods))
		for _, other := range pods.Items {
			if strings.HasPrefix(other.Name, set+"-") && other.Name != pod && other.Labels["anew"] != "" && !isReady(&other) {
				c.Errorf("claim %s is deleted while %s, which was made anew before, is not Ready", o.Name, other.Name)
			}
		}
	case *corev1.PersistentVolume:
		if !isSecured(o) || o.Status.Phase == corev1.VolumeBound {
			c.Errorf("PersistentVolume %s is deleted as it is: %v", o.Name, o)
		}
	default:
		c.Errorf("a %T is deleted", o)
	}
}

func nodeOf(v *corev1.PersistentVolume) string {
	return v.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]
}

func (c *cluster) volumes() []corev1.PersistentVolume {
	var all corev1.PersistentVolumeList
	c.must(c.List(c.Context(), &all))
	return all.Items
}

// happen lets something happen to a node or a volume.
func (c *cluster) happen() {
	node := fmt.Sprintf("node-%d", c.rand.IntN(len(c.disks)))
	_, absent := c.absent[node]
	switch n := c.rand.IntN(20); {
	case n < c.often && !absent:
		c.goes(node)
	case n >= 3 && n < 3+2*c.often && absent:
		c.returns(node)
	case n == 11 && absent:
		c.disks[node] += "'"
		c.returns(node)
	case n == 12:
		for _, v := range c.volumes() {
			if nodeOf(&v) == node && c.rand.IntN(2) == 0 {
				c.say("%s is given up by hand", v.Name)
				c.byHand[v.UID] = true
				metav1.SetMetaDataAnnotation(&v.ObjectMeta, pv.GiveUpAnnotation, "me")
				c.must(c.Update(c.Context(), &v))
			}
		}
	}
}

func (c *cluster) goes(node string) {
	c.say("%s goes", node)
	c.absent[node] = c.now
	c.must(c.Delete(c.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}))
}

func (c *cluster) returns(node string) {
	c.say("%s returns with %s", node, c.disks[node])
	delete(c.absent, node)
	c.must(c.Create(c.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}))
}

func (c *cluster) reconcile() {
	for range 1 + c.rand.IntN(4) {
		if c.rand.IntN(5) == 0 {
			c.loop.capacityDue = time.Time{} // another leader
		}
		if _, err := c.loop.Reconcile(c.Context(), request); err != nil && c.fails == 0 {
			c.Fatal(err)
		}
		if c.rand.IntN(2) == 0 {
			c.kubernetes()
		}
	}
}

// kubernetes does what its controllers do.
func (c *cluster) kubernetes() {
	var pods corev1.PodList
	c.must(c.List(c.Context(), &pods))
	claims := map[string]*corev1.PersistentVolumeClaim{}
	var all corev1.PersistentVolumeClaimList
	c.must(c.List(c.Context(), &all))
	for i := range all.Items {
		claims[all.Items[i].Name] = &all.Items[i]
	}
	for _, v := range c.volumes() {
		if claim := claims[v.Spec.ClaimRef.Name]; v.Status.Phase == corev1.VolumeBound && (claim == nil || claim.UID != v.Spec.ClaimRef.UID) {
			released(&v)
			c.must(c.Update(c.Context(), &v))
		}
		_, absent := c.absent[nodeOf(&v)]
		if !absent && v.Status.Phase == corev1.VolumeReleased && v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
			c.Errorf("the provisioner of %s deletes the data of %s", nodeOf(&v), v.Name)
		}
		if v.DeletionTimestamp == nil || v.Status.Phase == corev1.VolumeBound {
			continue
		}
		v.Finalizers = slices.DeleteFunc(v.Finalizers, func(f string) bool { return f == "kubernetes.io/pv-protection" })
		c.must(client.IgnoreNotFound(c.Update(c.Context(), &v)))
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		_, absent := c.absent[p.Spec.NodeName]
		claim := claims["data-"+p.Name]
		switch {
		case p.Spec.NodeName != "" && absent:
			p.Spec.NodeName, p.Status.Phase, p.Status.Conditions = "", corev1.PodPending, nil
		case claim == nil:
			// The StatefulSet makes it, and the volume is on some node that is there.
			c.must(c.Create(c.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data-" + p.Name, UID: types.UID(fmt.Sprintf("anew-%d", c.rand.Uint64()))}}))
			p.Labels = map[string]string{"anew": "yes"}
		case claim.Spec.VolumeName == "" && c.rand.IntN(2) == 0:
			*p = func() corev1.Pod { r := ready(*p); return r }()
		case p.Status.Phase == corev1.PodPending && claim.Spec.VolumeName != "":
			var v corev1.PersistentVolume
			c.must(c.Get(c.Context(), types.NamespacedName{Name: claim.Spec.VolumeName}, &v))
			if _, absent := c.absent[nodeOf(&v)]; !absent && claim.DeletionTimestamp == nil {
				*p = ready(*p)
				p.Spec.NodeName = nodeOf(&v)
			}
		}
		c.must(c.Update(c.Context(), p))
	}
}

// settle lets all nodes return with their disks: what is bound is as it was.
func (c *cluster) settle() {
	c.fails = 0
	for node := range c.disks {
		c.disks[node] = "disk-" + node
		if _, absent := c.absent[node]; absent {
			c.returns(node)
		}
	}
	for range 60 {
		c.now = c.now.Add(time.Minute)
		c.reconcile()
		c.kubernetes()
	}
	for _, v := range c.volumes() {
		if isMarked(&v) || v.Annotations[Told] != "" {
			c.Errorf("%s keeps marks: %v", v.Name, v.Annotations)
		}
		if v.Status.Phase == corev1.VolumeBound && v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
			c.Errorf("%s is bound and has the policy %s", v.Name, v.Spec.PersistentVolumeReclaimPolicy)
		}
	}
}
