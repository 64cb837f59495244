package scale

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const volumesPerNode = 50

// populate writes the objects of nodes beside the real one, each with its volumes, that
// are copies of those of the real node and of a claim and volume that were bound.
func (w *world) populate(nodes int, life []change) {
	w.Helper()
	ofNode := w.objectsOfNode()
	claim, volume := bound(life)
	if claim == nil || volume == nil {
		w.Fatalf("of a claim's life these are all changes: %+v", life)
	}
	var operations []operation
	add := func(o client.Object) {
		op, err := write(o)
		w.must(err)
		operations = append(operations, op)
		if len(operations) == atOnce {
			w.must(etcd(w.Etcd).do(operations...))
			operations = operations[:0]
		}
	}
	for n := 1; n < nodes; n++ {
		for _, o := range ofNode {
			add(onNode(o, n))
		}
		for v := range volumesPerNode {
			add(another(claim, n*volumesPerNode+v))
			add(another(onNode(volume, n), n*volumesPerNode+v))
		}
	}
	w.must(etcd(w.Etcd).do(operations...))
}

// objectsOfNode are those that the cluster has for the real node.
func (w *world) objectsOfNode() (all []client.Object) {
	w.Helper()
	n, c, room := &corev1.Node{}, &storagev1.CSINode{}, &storagev1.CSIStorageCapacityList{}
	w.must(w.Get(w.Context(), client.ObjectKey{Name: node}, n))
	w.must(w.Get(w.Context(), client.ObjectKey{Name: node}, c))
	w.must(w.List(w.Context(), room, client.InNamespace(release)))
	if len(room.Items) == 0 {
		w.Fatal("csi-provisioner has published no capacity")
	}
	all = append(all, n, c)
	for i := range room.Items {
		all = append(all, &room.Items[i])
	}
	return all
}

// nodeName is the name of the n-th node; the real one is not among them.
func nodeName(n int) string { return fmt.Sprintf("played-%d", n) }

// onNode is the object as it would be for another node.
func onNode(o client.Object, n int) client.Object {
	o = o.DeepCopyObject().(client.Object)
	name := nodeName(n)
	rename := func(m map[string]string) {
		for k, v := range m {
			m[k] = strings.ReplaceAll(v, node, name)
		}
	}
	rename(o.GetLabels())
	switch o := o.(type) {
	case *corev1.Node:
		o.Name = name
	case *storagev1.CSINode:
		o.Name = name
		o.Spec.Drivers[0].NodeID = name
	case *storagev1.CSIStorageCapacity:
		o.Name = fmt.Sprintf("%s-%d", o.Name, n)
		o.NodeTopology = &metav1.LabelSelector{MatchLabels: map[string]string{driver + "/node": name}}
	case *corev1.PersistentVolume:
		for _, term := range o.Spec.NodeAffinity.Required.NodeSelectorTerms {
			for _, e := range term.MatchExpressions {
				e.Values[0] = name
			}
		}
		return o // another gives it a name and a UID
	default:
		panic(fmt.Sprintf("no node's %T", o))
	}
	o.SetUID(types.UID(fmt.Sprintf("%.8s-%s", o.GetUID(), o.GetName())))
	return o
}
