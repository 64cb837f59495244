package why

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/hostdir/hostdir/pkg/controller/pod"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// Source is where a World is looked at: the API server, with the person's rights, and
// hostdir on the nodes.
type Source struct {
	Clients kubernetes.Interface
	// Dynamic reads VolumeSnapshots, which the cluster may not know.
	Dynamic        dynamic.Interface
	System, Driver string
	// Ask asks the node plugins, and notes what does not answer.
	Ask func(ctx context.Context, q Question) ([]Answer, []Unseen)
}

// Question is what node plugins are asked for: their disks.
type Question struct {
	// Node is the only one that is asked, and for its volumes and findings as well; "" for
	// all nodes.
	Node string
	// Disks are the UUIDs of those whose nodes are asked for their snapshots.
	Disks []string
}

// Collect looks at all that Diagnose may need of a subject. What is forbidden, or does
// not answer, is noted in the World. An error says that the subject itself could not
// be looked at.
func (s Source) Collect(ctx context.Context, subject Subject) (*World, error) {
	c := &collector{Source: s, World: &World{Subject: subject, Driver: s.Driver, System: s.System, Now: time.Now()}}
	if err := c.subject(ctx); err != nil {
		return nil, err
	}
	c.pods(ctx)
	for i := range c.Claims {
		c.belongings(ctx, &c.Claims[i])
	}
	c.others(ctx)
	c.left(ctx)
	c.cluster(ctx)
	c.events(ctx)
	if s.Ask != nil {
		answers, unseen := s.Ask(ctx, Question{Node: c.onlyNode(), Disks: c.originDisks()})
		c.Answers, c.Unseen = answers, append(c.Unseen, unseen...)
	}
	return c.World, ctx.Err()
}

type collector struct {
	Source
	*World
}

// look reports whether something was found, and notes an error other than that it is
// not there.
func (c *collector) look(what What, err error) bool {
	if err != nil && !apierrors.IsNotFound(err) && c.saw(what) {
		why := err.Error()
		if apierrors.IsForbidden(err) {
			why = "you may not (" + why + ")"
		}
		c.Unseen = append(c.Unseen, Unseen{what, why})
	}
	return err == nil
}

// subject finds the claim or the pod. A plain name is a claim's, or else a pod's.
func (c *collector) subject(ctx context.Context) error {
	s := &c.World.Subject
	if s.Kind != PodKind {
		claim, err := c.claim(ctx, s.Name)
		if err == nil && claim.Object == nil && s.Kind == "" {
			if pod, podErr := c.Clients.CoreV1().Pods(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{}); c.look(Pods, podErr) {
				s.Kind, c.Pod = PodKind, pod
				return c.ofPod(ctx)
			}
		}
		s.Kind = ClaimKind
		c.Claims = []Claim{claim}
		if err != nil {
			return fmt.Errorf("%s could not be looked at: %w", s, err)
		}
		return nil
	}
	pod, err := c.Clients.CoreV1().Pods(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s could not be looked at: %w", s, err)
	}
	c.Pod = pod
	return c.ofPod(ctx)
}

func (c *collector) ofPod(ctx context.Context) error {
	var errs []error
	for _, name := range pod.Claims(c.Pod) {
		claim, err := c.claim(ctx, name)
		if c.look(Claims, err) {
			c.Claims = append(c.Claims, claim)
		} else {
			errs = append(errs, err)
		}
	}
	if len(c.Claims) == 0 && len(errs) > 0 {
		return fmt.Errorf("the claims of %s could not be looked at: %w", c.World.Subject, errors.Join(errs...))
	}
	return nil
}

// claim gets one; its object is nil if there is none.
func (c *collector) claim(ctx context.Context, name string) (Claim, error) {
	found := Claim{Namespace: c.World.Subject.Namespace, Name: name}
	object, err := c.Clients.CoreV1().PersistentVolumeClaims(found.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return found, nil
	}
	if err == nil {
		found.Object = object
	}
	return found, err
}

// pods finds those that use one of the claims.
func (c *collector) pods(ctx context.Context) {
	list, err := c.Clients.CoreV1().Pods(c.World.Subject.Namespace).List(ctx, metav1.ListOptions{})
	if !c.look(Pods, err) {
		if c.Pod != nil {
			c.Pods = []corev1.Pod{*c.Pod}
		}
		return
	}
	for _, p := range list.Items {
		if slices.ContainsFunc(pod.Claims(&p), func(name string) bool {
			return slices.ContainsFunc(c.Claims, func(claim Claim) bool { return claim.Name == name })
		}) {
			c.Pods = append(c.Pods, p)
		}
	}
}

// belongings finds a claim's class and volume, or what it is to begin as.
func (c *collector) belongings(ctx context.Context, claim *Claim) {
	if claim.Object == nil {
		return
	}
	c.origin(ctx, claim)
	spec := claim.Object.Spec
	if spec.StorageClassName != nil && *spec.StorageClassName != "" {
		if class, err := c.Clients.StorageV1().StorageClasses().Get(ctx, *spec.StorageClassName, metav1.GetOptions{}); c.look(Classes, err) {
			claim.Class = class
		}
	}
	if spec.VolumeName != "" {
		if volume, err := c.Clients.CoreV1().PersistentVolumes().Get(ctx, spec.VolumeName, metav1.GetOptions{}); c.look(Volumes, err) {
			claim.Volume = volume
		}
	}
}

// others finds the other claims of the pods: they may tie them to a node.
func (c *collector) others(ctx context.Context) {
	for _, p := range c.Pods {
		for _, name := range pod.Claims(&p) {
			is := func(claim Claim) bool { return claim.Name == name }
			if hasEnded(&p) || slices.ContainsFunc(c.Claims, is) || slices.ContainsFunc(c.Others, is) {
				continue
			}
			claim, err := c.claim(ctx, name)
			if c.look(Claims, err) {
				c.belongings(ctx, &claim)
				c.Others = append(c.Others, claim)
			}
		}
	}
}

// left finds volumes that name a claim which has none: those that are kept for it, and
// what an earlier claim of the name has left.
func (c *collector) left(ctx context.Context) {
	if !slices.ContainsFunc(c.Claims, func(claim Claim) bool { return claim.Volume == nil }) {
		return
	}
	list, err := c.Clients.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if !c.look(Volumes, err) {
		return
	}
	for i := range c.Claims {
		claim := &c.Claims[i]
		for j := range list.Items {
			v := &list.Items[j]
			ref := v.Spec.ClaimRef
			if claim.Volume != nil || ref == nil || ref.Namespace != claim.Namespace || ref.Name != claim.Name || !pv.Is(v, c.World.Driver) {
				continue
			}
			switch {
			case ref.UID == "" || v.Labels[reservedLabel] != "" && claim.Object != nil && ref.UID == claim.Object.UID:
				if v.DeletionTimestamp == nil {
					claim.Reserved = append(claim.Reserved, *v)
				}
			case claim.Object == nil:
				claim.Volume = v
			}
		}
	}
}

// cluster finds nodes, hostdir's pods, and what the scheduler knows of room.
func (c *collector) cluster(ctx context.Context) {
	all := metav1.ListOptions{}
	if list, err := c.Clients.CoreV1().Nodes().List(ctx, all); c.look(Nodes, err) {
		c.Nodes = list.Items
	}
	if list, err := c.Clients.StorageV1().CSINodes().List(ctx, all); c.look(CSINodes, err) {
		c.CSINodes = list.Items
	}
	if driver, err := c.Clients.StorageV1().CSIDrivers().Get(ctx, c.World.Driver, metav1.GetOptions{}); c.look(CSIDrivers, err) {
		c.CSIDriver = driver
	}
	if list, err := c.Clients.StorageV1().CSIStorageCapacities(c.World.System).List(ctx, all); c.look(Capacities, err) {
		c.Capacities = list.Items
	}
	if list, err := c.Clients.CoreV1().Pods(c.World.System).List(ctx, metav1.ListOptions{LabelSelector: pluginLabels}); c.look(PluginPods, err) {
		c.Plugins = list.Items
	}
	if list, err := c.Clients.CoreV1().Pods(c.World.System).List(ctx, metav1.ListOptions{LabelSelector: controllerLabels}); c.look(PluginPods, err) {
		c.Controllers = list.Items
	}
}

const controllerLabels = "app.kubernetes.io/name=hostdir,app.kubernetes.io/component=controller"

// events finds those about the objects of today, and not of former ones of their names.
func (c *collector) events(ctx context.Context) {
	about := map[corev1.ObjectReference]bool{}
	add := func(kind string, o metav1.Object) {
		about[corev1.ObjectReference{Kind: kind, Name: o.GetName(), UID: o.GetUID()}] = true
	}
	volumes := false
	for _, claim := range slices.Concat(c.Claims, c.Others) {
		if claim.Object != nil {
			add("PersistentVolumeClaim", claim.Object)
		}
		if claim.Volume != nil {
			add("PersistentVolume", claim.Volume)
			volumes = true
		}
	}
	for i := range c.Pods {
		add("Pod", &c.Pods[i])
	}
	from := map[What]string{Events: c.World.Subject.Namespace}
	if volumes && from[Events] != metav1.NamespaceDefault { // where events about what has no namespace are
		from[VolumeEvents] = metav1.NamespaceDefault
	}
	for what, namespace := range from {
		list, err := c.Clients.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
		if !c.look(what, err) {
			continue
		}
		for _, e := range list.Items {
			o := e.InvolvedObject
			if about[corev1.ObjectReference{Kind: o.Kind, Name: o.Name, UID: o.UID}] {
				c.Events = append(c.Events, e)
			}
		}
	}
	slices.SortStableFunc(c.Events, func(a, b corev1.Event) int {
		return cmp.Or(LastSeen(&b).Compare(LastSeen(&a)), cmp.Compare(b.ResourceVersion, a.ResourceVersion))
	})
}

// onlyNode is the one node that can have the cause, "" if all have to be asked.
func (c *collector) onlyNode() string {
	node := ""
	for _, claim := range slices.Concat(c.Claims, c.Others) {
		if claim.Volume == nil || !pv.Is(claim.Volume, c.World.Driver) {
			return ""
		}
		on := pv.Node(claim.Volume, c.World.Driver)
		if node != "" && node != on {
			return ""
		}
		node = on
	}
	return node
}
