//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostdir/hostdir/pkg/cli/why"
)

// rooms waits until Kubernetes knows of each node how large a volume of the
// class it can take, and until that is what met wants.
func (t *test) rooms(what, class string, met func(rooms map[string]int64) error) map[string]int64 {
	t.Helper()
	var rooms map[string]int64
	await(t, what, capacities, query{namespace: home}, func(all []*storagev1.CSIStorageCapacity) error {
		rooms = map[string]int64{}
		for _, c := range all {
			if c.StorageClassName == class && c.NodeTopology != nil && c.MaximumVolumeSize != nil {
				rooms[c.NodeTopology.MatchLabels[topologyKey]] = c.MaximumVolumeSize.Value()
			}
		}
		if len(rooms) != len(t.nodes) {
			return fmt.Errorf("it is known of %v", rooms)
		}
		return met(rooms)
	})
	return rooms
}

func anyRoom(rooms map[string]int64) error {
	for node, bytes := range rooms {
		if bytes == 0 {
			return fmt.Errorf("%s has none", node)
		}
	}
	return nil
}

func largeClaimFindsNode(t *test) {
	small, large := t.nodes[0], t.nodes[1]
	class := t.limitedClass()
	rooms := t.rooms("the room on each node is known", class, anyRoom)
	t.Logf("room: %v", rooms)
	t.createClaim(sized("large", class, rooms[small]+16*mebibyte))
	t.createPod(newPod("large", "large", signed))
	if node := t.podRuns("large").Spec.NodeName; node != large {
		t.Errorf("the pod runs on %s, room for its claim is only on %s", node, large)
	}
}

func tooLargeClaimSaysSo(t *test) {
	class := t.limitedClass()
	rooms := t.rooms("the room on each node is known", class, anyRoom)
	t.createClaim(sized("huge", class, rooms[t.nodes[1]]+16*mebibyte))
	t.createPod(newPod("huge", "huge", ""))
	q := query{namespace: t.namespace, fields: "reason=FailedScheduling,involvedObject.name=huge"}
	await(t, "an event says that no node has the room", events, q, func(all []*corev1.Event) error {
		for _, e := range all {
			if strings.Contains(e.Message, "did not have enough free storage") {
				t.Log(e.Message)
				return nil
			}
		}
		return fmt.Errorf("there are %d other events", len(all))
	})
	c, err := t.CoreV1().PersistentVolumeClaims(t.namespace).Get(context.Background(), "huge", metav1.GetOptions{})
	t.check(err)
	if c.Status.Phase != corev1.ClaimPending {
		t.Errorf("the claim is %s", c.Status.Phase)
	}
	t.why("huge", why.PoolFull)
	t.why("pod/huge", why.PoolFull)
}

func roomFollowsClaims(t *test) {
	const size = 128 * mebibyte
	node, other := t.nodes[0], t.nodes[1]
	class := t.limitedClass()
	before := t.rooms("the room on each node is known", class, anyRoom)
	follows := func(what string, want int64) {
		began := time.Now()
		t.rooms("the room on the node follows", class, func(rooms map[string]int64) error {
			// btrfs takes some room for itself as it is used.
			if off := rooms[node] - want; off > 8*mebibyte || off < -8*mebibyte {
				return fmt.Errorf("it is %d MiB, want %d MiB", rooms[node]/mebibyte, want/mebibyte)
			}
			if off := rooms[other] - before[other]; off > 8*mebibyte || off < -8*mebibyte {
				return fmt.Errorf("on %s it changed by %d MiB", other, off/mebibyte)
			}
			return nil
		})
		t.Logf("%.1f s after the claim was %s", time.Since(began).Seconds(), what)
	}

	t.createClaim(sized("data", class, size))
	p := newPod("data", "data", "")
	p.Spec.NodeSelector = on(node)
	t.createPod(p)
	t.podRuns("data")
	follows("created", before[node]-size)
	t.deletePod("data")
	t.check(t.CoreV1().PersistentVolumeClaims(t.namespace).Delete(context.Background(), "data", metav1.DeleteOptions{}))
	follows("deleted", before[node])
}
