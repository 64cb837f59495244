//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// A diskPool is a pool whose disk is, on each node, the mount point of
// a disk that the tests take away.
type diskPool struct {
	name, dir string
	// requireMountPoint is as in hostdir's configuration. The plugin's
	// container has the folder above the mount point then, and sees each
	// mount and unmount. Without, it has the folder itself, and goes on seeing
	// a disk that was mounted there when it was started.
	requireMountPoint bool
}

var (
	guarded   = diskPool{"guarded", "/mnt/hostdir/guarded-" + session, true}
	unguarded = diskPool{"unguarded", "/var/lib/unguarded-" + session, false}

	diskPools = []diskPool{guarded, unguarded}
)

// installDisks installs the chart with both pools, until the test ends.
func (c *cluster) installDisks(t *testing.T) {
	t.Helper()
	var values []string
	for i, p := range diskPools {
		for _, node := range c.nodes {
			d := c.makeDisk(t, node, p.dir, 256*mebibyte, "mkfs.ext4", "-q", "-F")
			t.Cleanup(func() { d.remove(t) })
		}
		values = append(values, "--set", fmt.Sprintf("pools[%[1]d].name=%[2]s,pools[%[1]d].paths[0]=%[3]s,pools[%[1]d].requireMountPoint=%[4]t",
			i+1, p.name, p.dir, p.requireMountPoint))
	}
	t.Cleanup(func() { c.install(t) })
	c.install(t, values...)
}

// losable is a pool's disk on a node, which the test may unmount, and the node,
// which it may stop: the node and its disks are there again before the test's
// volumes are deleted.
func (t *test) losable(p diskPool, node string) disk {
	t.Helper()
	t.Cleanup(func() {
		t.explain()
		run(t, t.tool, "start", node)
		for _, p := range diskPools {
			disk{t.cluster, node, p.dir}.restore(t)
		}
	})
	return disk{t.cluster, node, p.dir}
}

func idleDiskMayGo(t *test) {
	node := t.nodes[0]
	d := t.losable(guarded, node)
	before := t.plugin(t, node)
	class := t.createClass(map[string]string{"pool": guarded.name})
	t.createClaim(sized("data", class, 16*mebibyte))
	p := newPod("data", "data", resuming)
	p.Spec.NodeSelector = on(node)
	t.createPod(p.DeepCopy())
	t.podRuns("data")
	t.writesOn("data")

	// Under a pod: it keeps its own mount of the volume.
	d.unmount(t)
	t.poolIs(guarded, node, "unusable")
	t.writesOn("data")
	d.mount(t)
	t.poolIs(guarded, node, "ready")
	t.writesOn("data")

	// Nobody has a mount of it: the disk is gone altogether.
	t.deletePod("data")
	d.unmount(t)
	t.poolIs(guarded, node, "unusable")
	if devices := t.onNode(t, node, "losetup", "--associated", d.image()); devices != "" {
		t.Errorf("the disk is unmounted and no pod uses it, yet it is in use: %s", devices)
	}
	d.mount(t)
	t.poolIs(guarded, node, "ready")
	t.createPod(p)
	t.podRuns("data")
	t.writesOn("data")
	t.sameProcess(before)
}

func absentDiskLosesNothing(t *test) {
	a := t.loseDisk(guarded)
	t.poolIs(guarded, a.disk.node, "unusable")
	t.poolIs(guarded, a.spared.Spec.NodeName, "ready")
	t.writesOn(a.hit.Name)
	a.newClaimsAvoid()
	a.replicaWaits(t.began)
	a.deletionWaits("early", t.began)
	a.nothingAstray()
	a.restartNode()
	a.newClaimsAvoid()
	a.deletionWaits("late", a.restarted)
	a.nothingAstray()
	a.diskReturns()
}

// Without requireMountPoint only what hostdir remembers shows that the empty
// folder is not a new disk's. The plugin sees the unmounting only if the disk was
// mounted after its container was started, so what it says until the restart is
// not looked at.
func forgottenMountPointLosesNothing(t *test) {
	a := t.loseDisk(unguarded)
	t.writesOn(a.hit.Name)
	a.nothingAstray()
	a.restartNode()
	a.newClaimsAvoid()
	a.deletionWaits("early", a.restarted)
	a.deletionWaits("late", a.restarted)
	a.nothingAstray()
	a.diskReturns()
}

// says are the ways in which hostdir says that a pool's disk is not mounted. It
// looks every ten seconds, and before each call.
func (p diskPool) says() []string {
	base := "disk unavailable: disk " + p.dir + ": "
	return []string{
		base + "no disk is mounted there",
		base + "its disk.json is gone: is the disk mounted?",
		base + "disk ", // "... was here, now there is an empty directory"
	}
}

// poolIs waits until `hostdir disks` and the metrics of a node say that its disk
// is in this state, ready or unusable.
func (t *test) poolIs(p diskPool, node, state string) {
	t.Helper()
	up := map[string]string{"ready": "1", "unusable": "0"}[state]
	t.eventually("pool "+p.name+" is "+state+" on "+node, func() error {
		table, _ := t.hostdir(t, node, "disks") // fails if any disk is unusable
		var is string
		for line := range strings.Lines(table) {
			if f := strings.Fields(line); len(f) > 2 && f[0] == p.name && f[1] == p.dir {
				is = f[2]
			}
		}
		if why := strings.Contains(table, p.dir+": unusable: "); is != state || why != (state == "unusable") {
			return fmt.Errorf("`hostdir disks` says\n%s", table)
		}
		return t.metricIs(node, `hostdir_disk_up{pool="`+p.name+`",path="`+p.dir+`"}`, up)
	})
}
