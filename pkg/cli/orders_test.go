package cli

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/admin"
)

// orderNodes have what the tests order about; orders are those that were given.
type orderNodes struct {
	*testCluster
	a, b    canned
	volumes []admin.VolumeRef
	disks   []admin.DiskAction
	repairs []admin.Repair
}

const (
	entryOfA = "pvc-1.20261126T100000Z.uuid-a"
	entryOfB = "pvc-2.20261126T100000Z.uuid-b"
)

func newOrderNodes() *orderNodes {
	deleted := time.Now().Add(-150 * time.Minute)
	purge := deleted.Add(24 * time.Hour)
	used := int64(5 << 20)
	finding := admin.Finding{Kind: "WrongMode", Path: "/pool", Problem: "it is open", Remedy: "close it", Repairable: true}
	foreign := admin.Finding{Kind: "ForeignFile", Path: "/pool/a", VolumeID: "disk-b.pvc-2", Problem: "it is not ours", Remedy: "move it away"}
	c := &orderNodes{}
	c.a = canned{
		"GET /trash": admin.Trash{Volumes: []admin.DeletedVolume{{
			Entry: entryOfA, ID: "disk-a.pvc-1", Name: "pvc-1", Claim: &admin.Claim{Namespace: "shop", Name: "www"}, Pool: "default", Path: "/pool/trash/" + entryOfA,
			CapacityBytes: 1 << 30, UsedBytes: &used, Deleted: &deleted, PurgeAt: &purge,
		}}},
		"POST /undelete":          heard(&c.volumes, admin.Adoptable{ID: "disk-a.pvc-1", Path: "/pool/volumes/pvc-1/data", Warnings: []string{"room is short"}}),
		"POST /purge":             heard(&c.volumes, admin.DeletedVolume{Path: "/pool/trash/" + entryOfA}),
		"GET /check":              admin.Check{Report: admin.Report{Disks: 1, Volumes: 2}},
		"GET /disks":              admin.Disks{Disks: []admin.Disk{{Pool: "default", Path: "/pool"}, {Pool: "fast", Path: "/mnt/a"}}},
		"POST /disks/init/plan":   admin.DiskPlan{Path: "/mnt/a", Was: "disk x", Found: "an empty directory", Effect: "A new disk is made.", Token: "t"},
		"POST /disks/init":        heard(&c.disks, admin.DiskDone{Path: "/mnt/a", UUID: "disk-n"}),
		"POST /disks/accept/plan": errors.New("/mnt/a is in use: there is nothing to decide"),
		"POST /disks/cordon":      heard(&c.disks, admin.Cordoned{Why: "it is cordoned since noon"}),
		"POST /disks/uncordon":    heard(&c.disks, admin.Cordoned{}),
	}
	c.b = canned{
		"GET /trash": admin.Trash{Volumes: []admin.DeletedVolume{
			{Entry: entryOfB, ID: "disk-b.pvc-2", Name: "pvc-2", Claim: &admin.Claim{Namespace: "shop", Name: "www"}, Pool: "default", Path: "/pool/trash/" + entryOfB, CapacityBytes: 1 << 20, Deleted: &deleted},
			{Entry: "x.purge.uuid", Pool: "default", Path: "/pool/trash/x.purge.uuid", PurgeError: "it is a mount"},
		}},
		"POST /undelete":       errors.New("conflict: its place is taken"),
		"GET /check":           admin.Check{Report: admin.Report{Disks: 1, Volumes: 1, Findings: []admin.Finding{finding, foreign}}},
		"POST /repair":         heard(&c.repairs, admin.Check{Repaired: []admin.Finding{finding}, Report: admin.Report{Disks: 1, Volumes: 1, Findings: []admin.Finding{foreign}}}),
		"GET /disks":           admin.Disks{Disks: []admin.Disk{{Pool: "default", Path: "/pool"}}},
		"POST /disks/uncordon": heard(&c.disks, admin.Cordoned{Why: "the configuration names /pool"}),
	}
	c.testCluster = newTestCluster(map[string]http.Handler{"a": c.a, "b": c.b})
	return c
}

const (
	planOfA     = "node a: /pool/trash/" + entryOfA + "\n  volume:    disk-a.pvc-1\n  made for:  claim shop/www\n  deleted:   DELETED\n  size:      1Gi, 5Mi used\n"
	comesBack   = planOfA + "It comes back with its data and its size; Kubernetes knows of it when a PersistentVolume is made for it.\n"
	isRemoved   = planOfA + "This removes the deleted volume " + entryOfA + " for good, and nothing else of what is in the trash (volumes: 1).\n"
	checked     = "Node a\nall is well: 2 volumes on 1 disk\n\nNode b\n"
	foreignText = "ForeignFile: /pool/a (volume disk-b.pvc-2)\n    It is not ours.\n    Move it away.\n\n"
	repairPlan  = "Node b. To be repaired; no data and no record is removed, moved or overwritten:\n    WrongMode: /pool: it is open\n"
)

// moment is when a volume was deleted, as a plan shows it.
var moment = regexp.MustCompile(`(deleted: +)\S+`)

func TestOrders(t *testing.T) {
	isDone := []admin.VolumeRef{{Volume: entryOfA}}
	for _, test := range []struct {
		name, stdin    string
		args           []string
		status         int
		stdout, stderr string
		volumes        []admin.VolumeRef
		disks          []admin.DiskAction
		repairs        int
	}{
		{name: "trash", args: []string{"trash"}, stdout: "" +
			"NODE  MADE-FOR  VOLUME  POOL     SIZE  USED  DELETED  PURGED-IN  ENTRY\n" +
			"a     shop/www  pvc-1   default  1Gi   5Mi   2h ago   21h        " + entryOfA + "\n" +
			"b     shop/www  pvc-2   default  1Mi   -     2h ago   -          " + entryOfB + "\n" +
			"b     -         -       default  -     -     -        now        x.purge.uuid\n"},
		{name: "trash of a node, wide", args: []string{"trash", "--node=b", "-o", "wide", "--no-headers"}, stdout: "" +
			"b  shop/www  pvc-2  default  1Mi  -  2h ago  -    " + entryOfB + "  -\n" +
			"b  -         -      default  -    -  -       now  x.purge.uuid                   it is a mount\n"},
		{name: "names in the trash", args: []string{"trash", "-o", "name"}, stdout: "a:" + entryOfA + "\nb:" + entryOfB + "\nb:x.purge.uuid\n"},

		{name: "undelete", stdin: "y\n", args: []string{"undelete", "pvc-1"}, volumes: isDone,
			stdout: "volume disk-a.pvc-1 is back on node a at /pool/volumes/pvc-1/data\n",
			stderr: comesBack + "Do it? [y/N] Warning: room is short\n" +
				"Look at its PersistentVolume, which Kubernetes needs to know of it, and apply it:\n" +
				"    kubectl -n hostdir-system exec hostdir-node-a -c hostdir -- /hostdir volumes pv disk-a.pvc-1 > pv.yaml\n    kubectl apply -f pv.yaml\n"},
		{name: "undelete, declined", stdin: "n\n", args: []string{"undelete", "disk-a.pvc-1"}, status: Wrong, stderr: comesBack + "Do it? [y/N] Error: nothing was done\n"},
		{name: "undelete, nobody answers", args: []string{"undelete", entryOfA}, status: Unknown,
			stderr: comesBack + "Do it? [y/N] Error: nothing was done: nobody answers; --yes is the answer beforehand\n"},
		{name: "undelete, shown only", args: []string{"undelete", "pvc-1", "--dry-run"}, stderr: comesBack},
		{name: "undelete by a claim of two volumes", args: []string{"undelete", "shop/www"}, status: Wrong,
			stderr: "Error: \"shop/www\" is the name of 2 deleted volumes; name the entry of the one that is meant: a: " + entryOfA + ", b: " + entryOfB + "\n"},
		{name: "undelete by a claim on one node", args: []string{"undelete", "shop/www", "--node=a", "--dry-run"}, stderr: comesBack},
		{name: "undelete what is being removed", args: []string{"undelete", "x.purge.uuid"}, status: Wrong,
			stderr: "Error: no deleted volume \"x.purge.uuid\" is in the trash of a, b: `kubectl hostdir trash` lists them; one that is being removed is not to be had any more\n"},
		{name: "undelete, refused", args: []string{"undelete", "pvc-2", "--yes"}, status: Wrong,
			stderr: "node b: /pool/trash/" + entryOfB + "\n  volume:    disk-b.pvc-2\n  made for:  claim shop/www\n  deleted:   DELETED\n  size:      1Mi\n" +
				"It comes back with its data and its size; Kubernetes knows of it when a PersistentVolume is made for it.\n" +
				"Error: node b: conflict: its place is taken\n"},
		{name: "purge", args: []string{"purge", "pvc-1", "--yes"}, volumes: isDone,
			stdout: "being removed on node a: /pool/trash/" + entryOfA + "\n", stderr: isRemoved},
		{name: "purge, shown only", args: []string{"purge", "pvc-1", "--dry-run"}, stderr: isRemoved},

		{name: "check", args: []string{"check"}, status: Wrong,
			stdout: checked + "WrongMode: /pool\n    It is open.\n    Close it.\n\n" + foreignText, stderr: "Error: node b: findings: 2, of which --repair fixes 1\n"},
		{name: "check of a node that is well", args: []string{"check", "--node=a"}, stdout: "Node a\nall is well: 2 volumes on 1 disk\n"},
		{name: "check, wide", args: []string{"check", "-o", "wide"}, status: Wrong, stdout: "" +
			"NODE  KIND         PATH     VOLUME        CLAIM  REPAIRABLE  PROBLEM         REMEDY\n" +
			"b     WrongMode    /pool    -             -      true        it is open      close it\n" +
			"b     ForeignFile  /pool/a  disk-b.pvc-2  -      false       it is not ours  move it away\n",
			stderr: "Error: node b: findings: 2, of which --repair fixes 1\n"},
		{name: "repair", stdin: "yes\n", args: []string{"check", "--repair"}, status: Wrong, repairs: 1,
			stdout: checked + "repaired: WrongMode: /pool\n\n" + foreignText, stderr: repairPlan + "Do it? [y/N] Error: node b: findings: 1\n"},
		{name: "repair, shown only", args: []string{"check", "--repair", "--dry-run", "-o", "name"}, status: Wrong,
			stdout: "b:/pool\nb:/pool/a\n", stderr: repairPlan + "Error: node b: findings: 2, of which --repair fixes 1\n"},
		{name: "yes to nothing", args: []string{"check", "--yes"}, status: Unknown, stderr: "Error: --yes and --dry-run are about --repair, and mean nothing without it\n"},

		{name: "init", args: []string{"disks", "init", "/mnt/a", "--yes"}, disks: []admin.DiskAction{{Path: "/mnt/a", Token: "t"}},
			stdout: "node a: /mnt/a is in use: disk disk-n, volumes: 0\n",
			stderr: "node a: /mnt/a\n  was:  disk x\n  now:  an empty directory\nA new disk is made.\n"},
		{name: "init, shown only", args: []string{"disks", "init", "a:/mnt/a", "--dry-run"},
			stderr: "node a: /mnt/a\n  was:  disk x\n  now:  an empty directory\nA new disk is made.\n"},
		{name: "accept, refused", args: []string{"disks", "accept", "/mnt/a", "--yes"}, status: Wrong,
			stderr: "Error: node a: /mnt/a is in use: there is nothing to decide\n"},
		{name: "cordon", args: []string{"disks", "cordon", "a:/pool", "--yes"}, disks: []admin.DiskAction{{Path: "/pool"}},
			stdout: "node a: /pool: it is cordoned since noon\n",
			stderr: "node a: disk /pool takes no new volumes; those that it has stay, and `kubectl hostdir disks uncordon` takes it back\n"},
		{name: "cordon on several nodes", args: []string{"disks", "cordon", "/pool"}, status: Wrong,
			stderr: "Error: 2 nodes have a disk at /pool: a, b; name the one that you mean, as a:/pool\n"},
		{name: "no such disk", args: []string{"disks", "cordon", "/mnt/b"}, status: Wrong,
			stderr: "Error: no node has a disk at \"/mnt/b\": `kubectl hostdir disks` lists them\n"},
		{name: "two nodes said", args: []string{"disks", "cordon", "b:/pool", "--node=a"}, status: Unknown, stderr: "Error: b:/pool is on node b, and --node says a\n"},
		{name: "no such node", args: []string{"disks", "cordon", "c:/pool"}, status: Unknown, stderr: "Error: hostdir has no pod on node c\n"},
		{name: "uncordon", args: []string{"disks", "uncordon", "/pool", "--node=a", "--yes"}, disks: []admin.DiskAction{{Path: "/pool"}},
			stdout: "node a: /pool: it takes new volumes\n", stderr: "node a: disk /pool takes new volumes again\n"},
		{name: "uncordon, in vain", args: []string{"disks", "uncordon", "b:/pool", "--yes"}, status: Wrong, disks: []admin.DiskAction{{Path: "/pool"}},
			stderr: "node b: disk /pool takes new volumes again\nError: node b: /pool: the configuration names /pool\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newOrderNodes()
			stdout, stderr, status := c.run(t, test.stdin, test.args...)
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if diff := cmp.Diff(test.stdout, stdout); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.stderr, moment.ReplaceAllString(stderr, "${1}DELETED")); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
			if !slices.Equal(c.volumes, test.volumes) || !slices.Equal(c.disks, test.disks) || len(c.repairs) != test.repairs {
				t.Errorf("ordered %v, %v, %d repairs", c.volumes, c.disks, len(c.repairs))
			}
		})
	}
}

// A node that does not answer may have what is meant: nothing is ordered.
func TestOrdersWithoutANode(t *testing.T) {
	for _, args := range [][]string{{"undelete", "pvc-1"}, {"purge", "pvc-1"}, {"disks", "cordon", "/mnt/a"}, {"trash"}, {"check"}} {
		c := newOrderNodes()
		c.plugins["b"] = nil
		_, stderr, status := c.run(t, "", args...)
		if status != Unknown || !strings.Contains(stderr, "Error: node b: ") || len(c.volumes)+len(c.disks) > 0 {
			t.Errorf("%v: status %d, ordered %v %v, %s", args, status, c.volumes, c.disks, stderr)
		}
	}
	c := newOrderNodes()
	c.plugins["b"] = nil
	if _, stderr, status := c.run(t, "", "purge", "pvc-1", "--node=a", "--yes"); status != OK || len(c.volumes) != 1 {
		t.Errorf("of a node that is named: status %d, %s", status, stderr)
	}
}

func TestVersionsDiffer(t *testing.T) {
	plugins := map[string]http.Handler{}
	for name, version := range map[string]string{"a": testVersion, "b": "v1", "c": "v1", "d": "v1", "e": "v1", "f": "v1", "g": admin.Older, "h": testVersion} {
		plugins[name] = canned{"version": version, "GET /disks": admin.Disks{}}
	}
	stdout, stderr, status := newTestCluster(plugins).run(t, "", "disks", "--no-headers")
	want := "Warning: hostdir is of an older version on g, and this program is version v1.2.3: they may not understand each other in all\n" +
		"Warning: hostdir is version v1 on b, c, d and 2 more nodes, and this program is version v1.2.3: they may not understand each other in all\n"
	if status != OK || stdout != "" || stderr != want {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
}
