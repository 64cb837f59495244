//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// limitedPool is the path of the disk of the pool "limited", which enforces the
// sizes of its volumes. The first node has the smallest disk for it.
var limitedPool = "/mnt/hostdir/limited-" + session

const mebibyte = 1 << 20

// installLimited installs the chart with the pool "limited", until the test ends.
func (c *cluster) installLimited(t *testing.T) {
	t.Helper()
	c.makeLimited(t, limitedPool)
	t.Cleanup(func() { c.install(t) })
	c.installPools(t)
}

// makeLimited makes disks for the pool "limited", until the test ends.
func (c *cluster) makeLimited(t *testing.T, path string) {
	t.Helper()
	for i, node := range c.nodes {
		d := c.makeDisk(t, node, path, int64(i+1)*512*mebibyte, "mkfs.btrfs", "-q")
		t.Cleanup(func() { d.remove(t) })
		c.onNode(t, node, "btrfs", "quota", "enable", path)
	}
}

// installPools installs the chart with the pool "limited", whose disks are there.
func (c *cluster) installPools(t testing.TB, args ...string) {
	t.Helper()
	c.install(t, append([]string{"--set", limitedAt(limitedPool)}, args...)...)
}

// limitedAt is the value of the chart that makes disks at a path the pool "limited".
func limitedAt(path string) string {
	return "pools[1].name=limited,pools[1].paths[0]=" + path + ",pools[1].requireMountPoint=true"
}

// limitedClass makes a class of volumes whose sizes are enforced.
func (t *test) limitedClass() string {
	return t.createClass(map[string]string{"pool": "limited", "quota": "required"})
}

// sized is a claim of this class and size.
func sized(name, class string, bytes int64) *corev1.PersistentVolumeClaim {
	c := newClaim(name)
	c.Spec.StorageClassName = &class
	c.Spec.Resources.Requests[corev1.ResourceStorage] = *resource.NewQuantity(bytes, resource.BinarySI)
	return c
}

// hasSize is met when a claim's volume has grown to this size and nothing of
// that is left to do.
func hasSize(bytes int64) func([]*corev1.PersistentVolumeClaim) error {
	return one(func(c *corev1.PersistentVolumeClaim) error {
		has := c.Status.Capacity[corev1.ResourceStorage]
		if has.Value() != bytes || len(c.Status.AllocatedResourceStatuses) > 0 {
			return fmt.Errorf("it has %s, its conditions are %v, its expansion is %v", has.String(), c.Status.Conditions, c.Status.AllocatedResourceStatuses)
		}
		return nil
	})
}
