//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/pkg/cli/why"
)

// whyNamesWhatIsRare brings about on a disk what passes by itself, and what only somebody
// with the rights of root does.
func whyNamesWhatIsRare(t *test) {
	node := t.nodes[0]
	d := t.losable(guarded, node)
	class := t.createClass(map[string]string{"pool": guarded.name})
	pod := func(claim string) *corev1.Pod {
		p := newPod(claim, claim, "")
		p.Spec.NodeSelector = on(node)
		t.createPod(p)
		return p
	}
	used := func(name string) (directory string) {
		t.createClaim(sized(name, class, 16*mebibyte))
		pod(name)
		t.podRuns(name)
		t.deletePod(name)
		return filepath.Join(guarded.dir, "volumes", t.volumeOf(name).Name)
	}
	shell := func(script string) { t.onNode(t, node, "sh", "-ec", script) }
	used("data")

	// A PersistentVolume with an option that somebody has misspelt.
	pv := t.volumeOf("data").Name
	run(t, "kubectl", "patch", "pv", pv, "--type=merge", "-p", `{"spec":{"mountOptions":["noatim"]}}`)
	pod("data")
	t.why("data", why.MountFails)
	run(t, "kubectl", "patch", "pv", pv, "--type=merge", "-p", `{"spec":{"mountOptions":null}}`)
	t.deletePod("data") // kubelet mounts for it with what it has read once
	pod("data")
	t.podRuns("data")
	t.deletePod("data")

	// A directory that cannot be moved into the trash.
	immovable := used("immovable")
	t.Cleanup(func() { t.onNode(t, node, "sh", "-c", "chattr -i "+immovable+" 2>/dev/null || true") })
	held := t.volumeOf("immovable").Name
	shell("chattr +i " + immovable)
	t.kubectl("delete", "pvc", "immovable", "--wait=false")
	t.why("immovable", why.DeletionFails)
	shell("chattr -i " + immovable)
	await(t, "the volume goes", volumes, named(held), none)

	// The scheduler goes by the room that there was up to a minute ago.
	const large = 128 * mebibyte
	rooms := t.rooms("there is room", class, anyRoom)
	if rooms[node] < large {
		t.Fatalf("the disk has room for %d bytes", rooms[node])
	}
	shell(fmt.Sprintf("fallocate -l %d %s/others", rooms[node]-large/2, guarded.dir))
	t.rooms("the room is taken", class, func(rooms map[string]int64) error {
		if rooms[node] >= large {
			return fmt.Errorf("there is room for %d bytes", rooms[node])
		}
		return nil
	})
	t.createClaim(sized("large", class, large))
	pod("large")
	t.why("large", why.PoolFull)
	shell("rm " + guarded.dir + "/others")
	t.why("large", why.CapacityStale)
	t.podRuns("large")
	t.deletePod("large")

	// The disk comes back before the calls have returned that were at work on it.
	t.Cleanup(func() { t.onNode(t, node, "sh", "-c", "fsfreeze --unfreeze "+guarded.dir+" 2>/dev/null || true") })
	shell("fsfreeze --freeze " + guarded.dir)
	t.createClaim(sized("frozen", class, 16*mebibyte))
	pod("frozen")
	t.why("data", why.DiskUnresponsive)
	shell("umount -l " + guarded.dir)
	t.why("data", why.DiskAbsent)
	d.mount(t)
	t.why("data", why.DiskStarting)
	shell("fsfreeze --unfreeze " + guarded.dir)
	t.podRuns("frozen")
	t.deletePod("frozen")

	// A new disk in its place, which somebody has taken for the right one.
	d.unmount(t)
	fresh := t.makeDisk(t, node, "/mnt/fresh-"+session, 256*mebibyte, "mkfs.ext4", "-q", "-F")
	shell("rmdir " + fresh.dir + "/lost+found")
	fresh.unmount(t)
	shell("mount -o loop " + fresh.image() + " " + guarded.dir)
	t.why("data", why.DiskAbsent) // it is empty
	_, err := t.hostdir(t, node, "disks", "init", "--yes", guarded.dir)
	t.check(err)
	t.why("data", why.DiskMissing)
	d.unmount(t)
	d.mount(t)
	t.why("data", why.NothingWrong)
	shell("rm " + fresh.image() + " && rmdir " + fresh.dir)
}
