//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostdir/hostdir/pkg/cli/why"
)

// filling writes 56 MiB, and waits for room whenever there is none.
const filling = `size=0
while [ $size -lt $((56 << 20)) ]; do
  dd if=/dev/zero of=/data/file oflag=append conv=notrunc,fsync bs=256k count=1 2>>/tmp/errors || sleep 0.2
  size=$(stat -c %s /data/file)
done`

func claimGrowsUnderWriter(t *test) {
	const small, large, all = 32 * mebibyte, 64 * mebibyte, 56 * mebibyte
	class := t.limitedClass()
	set := newStatefulSet("db", 1, filling)
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{*sized("data", class, small)}
	t.createStatefulSet(set)
	before := t.podRuns("db-0")
	t.eventually("the writer is stopped by the limit", func() error {
		if errors := t.exec("db-0", "cat", "/tmp/errors"); !atLimit(errors) {
			return fmt.Errorf("it was told %q", errors)
		}
		return nil
	})
	if written := t.size("db-0", "/data/file"); written > small {
		t.Errorf("%d bytes are written, the claim has %d", written, int64(small))
	}

	began := time.Now()
	t.ask("data-db-0", large)
	await(t, "the claim has grown", claims, t.in("data-db-0"), hasSize(large))
	t.Logf("grown after %.1f s", time.Since(began).Seconds())
	t.eventually("the writer goes on to its end", func() error {
		if written := t.size("db-0", "/data/file"); written < all {
			return fmt.Errorf("%d of %d bytes are written", written, int64(all))
		}
		return nil
	})
	if after := t.podRuns("db-0"); after.UID != before.UID || after.Status.ContainerStatuses[0].RestartCount != 0 {
		t.Error("the writer was started again")
	}
	if has := t.volumeOf("data-db-0").Spec.Capacity[corev1.ResourceStorage]; has.Value() != large {
		t.Errorf("the volume has %s", has.String())
	}
}

func tooLargeExpansionIsTakenBack(t *test) {
	const size, modest = 32 * mebibyte, 48 * mebibyte
	class := t.limitedClass()
	t.createClaim(sized("data", class, size))
	t.createPod(newPod("data", "data", signed))
	t.podRuns("data")

	t.ask("data", 100<<30)
	told := func(message string) bool {
		return strings.Contains(message, "it has 32Mi and cannot grow to 100Gi") && strings.Contains(message, "has room for")
	}
	q := query{namespace: t.namespace, fields: "involvedObject.name=data,type=Warning"}
	await(t, "an event says why the claim cannot grow", events, q, func(all []*corev1.Event) error {
		for _, e := range all {
			if told(e.Message) {
				t.Logf("%s of %s: %s", e.Reason, e.InvolvedObject.Kind, e.Message)
				return nil
			}
		}
		return fmt.Errorf("there are %d other warnings", len(all))
	})
	await(t, "a condition of the claim says so", claims, t.in("data"), one(func(c *corev1.PersistentVolumeClaim) error {
		for _, condition := range c.Status.Conditions {
			if condition.Type == corev1.PersistentVolumeClaimNodeResizeError && told(condition.Message) {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %v", c.Status.Conditions)
	}))
	t.exec("data", "sh", "-c", "echo more >> /data/id") // the volume is what it was
	// Kubelet expands before it starts a pod, so one that comes now has to wait.
	t.createPod(newPod("second", "data", ""))
	q.fields = "involvedObject.name=second,type=Warning"
	await(t, "an event says why a pod that comes now waits", events, q, func(all []*corev1.Event) error {
		if !slices.ContainsFunc(all, func(e *corev1.Event) bool { return told(e.Message) }) {
			return fmt.Errorf("there are %d other warnings", len(all))
		}
		return nil
	})
	t.why("data", why.ResizeBeyondRoom)
	t.why("pod/second", why.ResizeBeyondRoom)
	began := time.Now()
	t.ask("data", modest)
	await(t, "the claim has grown to the lower request", claims, t.in("data"), hasSize(modest))
	t.podRuns("second")
	t.Logf("grown, and the other pod runs, after %.1f s", time.Since(began).Seconds())

	// Smaller than it is no volume becomes.
	out, err := exec.Command("kubectl", "-n", t.namespace, "patch", "pvc", "data", "-p", request(size)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "can not be less than status.capacity") {
		t.Errorf("a request to shrink is answered with %q (%v)", out, err)
	}
}

// ask changes a claim's request.
func (t *test) ask(claim string, bytes int64) {
	t.Helper()
	_, err := t.CoreV1().PersistentVolumeClaims(t.namespace).Patch(context.Background(), claim, types.StrategicMergePatchType,
		[]byte(request(bytes)), metav1.PatchOptions{})
	t.check(err)
}

func request(bytes int64) string {
	return fmt.Sprintf(`{"spec":{"resources":{"requests":{"storage":"%d"}}}}`, bytes)
}
