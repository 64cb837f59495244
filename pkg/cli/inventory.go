package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/controller/pod"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// volume is one with what Kubernetes and its node know of it.
type volume struct {
	Namespace string `json:"namespace,omitempty"`
	Claim     string `json:"claim,omitempty"`
	// Status is the PersistentVolume's phase, or the claim's where that cannot be
	// seen; Forgotten if no PersistentVolume names the volume.
	Status           string   `json:"status,omitempty"`
	PersistentVolume string   `json:"persistentVolume,omitempty"`
	ID               string   `json:"id,omitempty"`
	Pods             []string `json:"pods,omitempty"`
	Node             string   `json:"node,omitempty"`
	Pool             string   `json:"pool,omitempty"`
	Path             string   `json:"path,omitempty"`
	SizeBytes        int64    `json:"sizeBytes"`
	// UsedBytes is nil if it was not counted, or its node was not asked.
	UsedBytes *int64     `json:"usedBytes,omitempty"`
	Created   *time.Time `json:"created,omitempty"`
	// UnusedSince is when the last pod left the claim, nil if one uses it or the
	// cluster does not tell.
	UnusedSince *time.Time `json:"unusedSince,omitempty"`
	// Quota is how the size holds, "" if its node was not asked.
	Quota string `json:"quota,omitempty"`
	// Snapshots is how many of it its disk has, nil if its node was not asked.
	Snapshots *int `json:"snapshots,omitempty"`
}

// forgotten is the Status of a volume that no PersistentVolume names.
const forgotten = "Forgotten"

func (v *volume) ref() types.NamespacedName {
	return types.NamespacedName{Namespace: v.Namespace, Name: v.Claim}
}

// name is for people and -o name.
func (v *volume) name() string {
	if v.Claim != "" {
		return v.Namespace + "/" + v.Claim
	}
	return cmp.Or(v.PersistentVolume, v.ID)
}

// claim is what is needed of a PersistentVolumeClaim.
type claim struct {
	types.NamespacedName
	volumeName, driver, node string
	phase                    corev1.PersistentVolumeClaimPhase
	size                     int64
	created                  time.Time
	unusedSince              *time.Time
}

func claimOf(c *corev1.PersistentVolumeClaim) claim {
	found := claim{
		NamespacedName: types.NamespacedName{Namespace: c.Namespace, Name: c.Name},
		volumeName:     c.Spec.VolumeName, phase: c.Status.Phase, created: c.CreationTimestamp.Time,
		driver: cmp.Or(c.Annotations["volume.kubernetes.io/storage-provisioner"], c.Annotations["volume.beta.kubernetes.io/storage-provisioner"]),
		node:   c.Annotations["volume.kubernetes.io/selected-node"],
	}
	if size, ok := c.Status.Capacity[corev1.ResourceStorage]; ok {
		found.size = size.Value()
	}
	for _, condition := range c.Status.Conditions {
		if condition.Type == corev1.PersistentVolumeClaimUnused && condition.Status == corev1.ConditionTrue {
			since := condition.LastTransitionTime.Time
			found.unusedSince = &since
		}
	}
	return found
}

// volumeOf reads a PersistentVolume of the driver.
func volumeOf(v *corev1.PersistentVolume, driver string) *volume {
	created := v.CreationTimestamp.Time // a pointer into the object would keep all of it
	found := &volume{Status: string(v.Status.Phase), PersistentVolume: v.Name, ID: v.Spec.CSI.VolumeHandle, Node: pv.Node(v, driver), Created: &created}
	if ref := v.Spec.ClaimRef; ref != nil {
		found.Namespace, found.Claim = ref.Namespace, ref.Name
	}
	size := v.Spec.Capacity[corev1.ResourceStorage]
	found.SizeBytes = size.Value()
	return found
}

// add adds what the node knows.
func (v *volume) add(node string, of admin.Volume) {
	v.Node, v.Pool, v.Path, v.Quota = node, of.Pool, of.Path, quotaWords(of)
	v.Snapshots = &of.Snapshots
	if of.Quarantine == "" {
		v.SizeBytes = of.CapacityBytes
	}
	if of.Used != nil {
		v.UsedBytes = &of.Used.Bytes
	}
}

func quotaWords(v admin.Volume) string {
	switch {
	case v.Quarantine != "":
		return "quarantined"
	case v.Quota == "" || v.Quota == admin.NoQuota:
		return "advisory"
	case !v.Enforced:
		return string(v.Quota) + ", not in force"
	}
	return string(v.Quota)
}

// inventory is the volumes of a namespace or of all, as far as they can be seen.
type inventory struct {
	volumes []*volume
	// unsure are claims of which it cannot be told whether they are hostdir's.
	unsure []string
	unseen unseen
}

// kubeView is what the API server shows.
type kubeView struct {
	volumes []*volume
	claims  map[types.NamespacedName]claim
	pods    map[types.NamespacedName][]podUse
	// seen is whether the PersistentVolumes could be listed.
	seen bool
}

// podUse is a pod that uses a claim.
type podUse struct{ name, node string }

// inventory looks at the volumes of the namespace, with "" of all, and of the node if
// it is not "".
func (s *session) inventory(ctx context.Context, namespace, onNode string) (*inventory, error) {
	clients, err := s.client()
	if err != nil {
		return nil, err
	}
	i := &inventory{}
	kube := s.look(ctx, clients, namespace, &i.unseen)
	known := kube.join(s.driver)
	if !kube.seen {
		for _, v := range known {
			if kube.claims[v.ref()].driver == "" {
				i.unsure = append(i.unsure, v.name())
			}
		}
		slices.Sort(i.unsure)
	}
	nodes, err := s.chosen(ctx, onNode)
	if err != nil {
		i.unseen.add("hostdir on the nodes", err)
		nodes = nil
	} else if onNode == "" {
		i.unseen.addAbsent(known, nodes)
	}
	if namespace != "" && kube.seen {
		nodes = slices.DeleteFunc(nodes, func(n *node) bool {
			return !slices.ContainsFunc(known, func(v *volume) bool { return v.Node == n.name || v.Node == "" })
		})
	}
	byID, byName := map[string]*volume{}, map[string]*volume{}
	for _, v := range known {
		if v.ID != "" {
			byID[v.ID] = v
		} else if v.PersistentVolume != "" {
			byName[v.PersistentVolume] = v
		}
	}
	for _, a := range askAll(ctx, nodes, patience, func(ctx context.Context, n *node) (admin.Volumes, error) { return n.plugin.Volumes(ctx) }) {
		if a.err != nil {
			i.unseen.add("hostdir on the nodes", a.err)
		}
		for _, of := range a.value.Volumes {
			v := byID[of.ID]
			if v == nil && !kube.seen && of.Name != "" {
				v = byName[of.Name]
			}
			if v == nil && kube.seen && namespace == "" {
				v = &volume{Status: forgotten, ID: of.ID, PersistentVolume: of.Name, Created: of.Created}
				if of.Claim != nil {
					v.Namespace, v.Claim = of.Claim.Namespace, of.Claim.Name
				}
				known = append(known, v)
			}
			if v != nil {
				v.add(a.node.name, of)
			}
		}
	}
	s.warnVersions(nodes)
	if onNode != "" {
		known = slices.DeleteFunc(known, func(v *volume) bool { return v.Node != onNode })
	}
	i.volumes = known
	return i, ctx.Err()
}

// addAbsent notes the nodes that have volumes, but no pod of hostdir.
func (u *unseen) addAbsent(volumes []*volume, nodes []*node) {
	seen := map[string]bool{"": true}
	for _, n := range nodes {
		seen[n.name] = true
	}
	for _, v := range volumes {
		if !seen[v.Node] {
			seen[v.Node] = true
			u.add("hostdir on node "+v.Node, errors.New("it has no pod there"))
		}
	}
}

// look lists what there is in the API server, side by side.
func (s *session) look(ctx context.Context, clients kubernetes.Interface, namespace string, missing *unseen) *kubeView {
	k := &kubeView{claims: map[types.NamespacedName]claim{}, pods: map[types.NamespacedName][]podUse{}}
	var claimsErr, podsErr, volumesErr error
	var all sync.WaitGroup
	all.Go(func() {
		volumesErr = each(ctx, pages(clients.CoreV1().PersistentVolumes().List), func(v *corev1.PersistentVolume) {
			if pv.Is(v, s.driver) && (namespace == "" || v.Spec.ClaimRef != nil && v.Spec.ClaimRef.Namespace == namespace) {
				k.volumes = append(k.volumes, volumeOf(v, s.driver))
			}
		})
	})
	all.Go(func() {
		claimsErr = each(ctx, pages(clients.CoreV1().PersistentVolumeClaims(namespace).List), func(c *corev1.PersistentVolumeClaim) {
			found := claimOf(c)
			k.claims[found.NamespacedName] = found
		})
	})
	all.Go(func() {
		podsErr = each(ctx, pages(clients.CoreV1().Pods(namespace).List), func(p *corev1.Pod) {
			if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
				return
			}
			for _, name := range pod.Claims(p) {
				ref := types.NamespacedName{Namespace: p.Namespace, Name: name}
				k.pods[ref] = append(k.pods[ref], podUse{p.Name, p.Spec.NodeName})
			}
		})
	})
	all.Wait()
	k.seen = volumesErr == nil
	missing.add("PersistentVolumes", volumesErr)
	missing.add("claims", claimsErr)
	missing.add("pods", podsErr)
	return k
}

// join puts claims and pods to their volumes. Where volumes cannot be seen, the claims
// of the driver stand for them.
func (k *kubeView) join(driver string) []*volume {
	volumes := k.volumes
	if !k.seen {
		volumes = nil
		for _, c := range k.claims {
			if c.volumeName != "" && (c.driver == driver || c.driver == "") {
				volumes = append(volumes, &volume{Namespace: c.Namespace, Claim: c.Name, Status: string(c.phase), PersistentVolume: c.volumeName})
			}
		}
	}
	for _, v := range volumes {
		c, ok := k.claims[v.ref()]
		if !ok || c.volumeName != v.PersistentVolume {
			continue
		}
		v.Created, v.UnusedSince = &c.created, c.unusedSince
		if c.size > 0 {
			v.SizeBytes = c.size
		}
		for _, p := range k.pods[v.ref()] {
			v.Pods = append(v.Pods, p.name)
			v.Node = cmp.Or(v.Node, p.node)
		}
		v.Node = cmp.Or(v.Node, c.node)
		slices.Sort(v.Pods)
	}
	return volumes
}

// pages lets a typed List be called for one page after the other.
func pages[L runtime.Object](list func(context.Context, metav1.ListOptions) (L, error)) pager.ListPageFunc {
	return func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return list(ctx, options)
	}
}

// each visits what a list has, one page after the other. Who keeps a pointer into what
// is visited keeps its page.
func each[T runtime.Object](ctx context.Context, list pager.ListPageFunc, visit func(T)) error {
	p := pager.New(list)
	p.PageBufferSize = 0
	return p.EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		visit(o.(T))
		return nil
	})
}
