//go:build e2e

package wiped

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A hostdir that is killed has its disks for another 90 seconds, if the next one does not remember that it was itself.
var long = flag.Bool("long", false, "cut the power of the nodes under hostdir, instead of ending it first")

func TestRebuild(t *testing.T) {
	c := up(t)
	c.loadImage()
	c.install()
	c.kubectl("create", "namespace", namespace)
	c.apply()
	first, second := c.sign("web-0"), c.sign("web-1")
	nodes := []string{"worker-1", "worker-2", "worker-3"}
	spare := slices.DeleteFunc(nodes, func(n string) bool { return n == first.node || n == second.node })[0]

	if !t.Run("etcd is wiped", func(t *testing.T) {
		c := c.in(t)
		if !*long {
			c.uninstall()
		}
		c.cluster("wipe")
		if left := c.kubectl("get", "pv,pvc,sts,sc", "--all-namespaces", "--output=name"); left != "" {
			t.Fatalf("Kubernetes still knows %s", left)
		}
		c.loadImage()
		c.install()
		c.kubectl("create", "namespace", namespace)
		c.succeeds("disks")
		c.hostdir(0, "rebuild", "--claims", "--yes")
		c.apply()
		c.has("web-0", first)
		c.has("web-1", second)
		c.nothingIsToDo()
	}) {
		return
	}

	if !t.Run("a node is renamed", func(t *testing.T) {
		c := c.in(t)
		c.scale("0")
		// The node with the first replica comes back under the name of the spare one.
		c.uninstall()
		c.cluster("stop", first.node)
		c.kubectl("delete", "node", first.node)
		c.move(c.disk(first.node, "var/lib/hostdir"), c.disk(spare, "var/lib/hostdir"))
		c.install()
		if says := c.hostdir(1, "rebuild", "--yes"); !strings.Contains(says, "Not looked into: node "+spare) {
			t.Errorf("it does not say that it cannot look into the disk")
		}
		c.hostdir(0, "disks", "accept", spare+":/var/lib/hostdir", "--yes")
		c.exchanges(spare, "www-web-0")
		c.scale("2")
		old := first.node
		first.node, spare = spare, old
		c.has("web-0", first)
		c.has("web-1", second)
		c.nothingIsToDo()
	}) {
		return
	}

	if !t.Run("a disk moves to another node", func(t *testing.T) {
		c := c.in(t)
		c.scale("0")
		c.uninstall()
		c.cluster("start", spare)
		c.move(c.disk(second.node, "var/lib/hostdir"), c.disk(spare, "mnt/moved"))
		c.install()
		c.hostdir(0, "disks", "accept", spare+":/mnt/moved", "--yes")
		c.exchanges(spare, "www-web-1")
		c.scale("2")
		old := second.node
		second.node, spare = spare, old
		c.has("web-0", first)
		c.has("web-1", second)
		c.nothingIsToDo()
	}) {
		return
	}

	t.Run("a disk is copied to another node", func(t *testing.T) {
		c := c.in(t)
		before := c.volumes()
		copied := c.disk(spare, "mnt/copied")
		c.uninstall()
		if out, err := exec.Command("cp", "--archive", c.disk(second.node, "mnt/moved"), copied).CombinedOutput(); err != nil {
			t.Fatalf("copy the disk: %v: %s", err, out)
		}
		c.install()
		c.hostdir(0, "disks", "accept", spare+":/mnt/copied", "--yes")
		for _, args := range [][]string{{"rebuild", "--claims", "--yes"}, {"rebuild", "--node", spare, "--claims", "--yes"}} {
			says := c.hostdir(1, args...)
			both := []string{second.node, spare}
			slices.Sort(both)
			if !strings.Contains(says, "nodes "+strings.Join(both, ", ")+" have the same volume") || strings.Contains(says, "done:") || strings.Contains(says, "Nothing is to do.") {
				t.Errorf("it does not say which nodes have the same volume, or does something about it")
			}
		}
		if after := c.volumes(); after != before {
			t.Errorf("the PersistentVolumes were\n%s\nand are\n%s", before, after)
		}
		c.has("web-1", second)

		// As docs/how-to/troubleshooting.md removes a clone. hostdir notices within ten seconds.
		for _, name := range []string{"disk.json", "owner.json", "volumes", "trash", "claims"} {
			if err := os.RemoveAll(filepath.Join(copied, name)); err != nil {
				t.Fatal(err)
			}
		}
		c.succeeds("rebuild", "--claims", "--dry-run")
		c.nothingIsToDo()
	})
}

// sign leaves a line in the volume of a replica that no other one has.
func (c *cluster) sign(pod string) replica {
	c.Helper()
	c.kubectl("exec", "--namespace", namespace, pod, "--", "sh", "-c", "cat /proc/sys/kernel/random/uuid > /www/id")
	return c.replica(pod)
}

// succeeds waits until a command of kubectl hostdir ends with 0.
func (c *cluster) succeeds(args ...string) {
	c.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(time.Second) {
		says, status := c.tryHostdir(args...)
		if status == 0 {
			return
		}
		if time.Now().After(deadline) {
			c.Fatalf("kubectl hostdir %s ends with %d:\n%s", strings.Join(args, " "), status, says)
		}
	}
}

// exchanges holds that rebuild exchanges the PersistentVolume of one claim for one on a node.
func (c *cluster) exchanges(node, claim string) {
	c.Helper()
	says := c.hostdir(0, "rebuild", "--node", node, "--yes")
	if !strings.Contains(says, "to exchange: 1;") || !strings.Contains(says, filepath.Join(namespace, claim)) {
		c.Errorf("it does not exchange the PersistentVolume of %s", claim)
	}
}

func (c *cluster) nothingIsToDo() {
	c.Helper()
	if says := c.hostdir(0, "rebuild", "--claims", "--yes"); !strings.Contains(says, "Nothing is to do.") {
		c.Errorf("there is still something to do")
	}
}
