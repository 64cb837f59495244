package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostdir/hostdir/pkg/admin"
)

// takenFrom is a snapshot as its node tells it.
func takenFrom(node, volume, name string, bytes int64) admin.Snapshot {
	created := since(3 * time.Hour)
	return admin.Snapshot{
		ID: "disk-" + node + ".snapshots.snapshot-" + name, Name: "snapshot-" + name, VolumeSnapshot: &admin.Claim{Namespace: "shop", Name: name}, Content: "content-" + name,
		SourceVolume: "disk-" + node + "." + volume, Claim: &admin.Claim{Namespace: "shop", Name: "www-web"}, Pool: "default", Node: "elsewhere", Path: "/pool/snapshots/" + name + "/data",
		CapacityBytes: 1 << 30, Bytes: bytes, Method: "reflink", Consistency: "idle", Created: &created, Ready: true,
	}
}

// newSnapshotShop is a shop in which snapshots of www-web-0 were taken, one of which is
// in use by www-web-1's claim.
func newSnapshotShop() (c *testCluster, a, b canned) {
	c, a, b = newShop()
	alone := int64(3 << 20)
	nightly, weekly, foreign := takenFrom("a", "pvc-1", "nightly", 300<<20), takenFrom("a", "pvc-1", "weekly", 0), takenFrom("b", "pvc-3", "audit", 1<<20)
	nightly.AloneBytes, nightly.Method, nightly.Consistency = &alone, "subvolume", "atomic"
	weekly.Ready, weekly.Method, weekly.Consistency, weekly.Progress = false, "", "", &admin.Progress{Phase: "copying", Bytes: 1 << 20, TotalBytes: 4 << 20}
	foreign.VolumeSnapshot.Namespace, foreign.Claim.Namespace, foreign.Pool = "bank", "bank", "fast"
	a["GET /snapshots"] = admin.Snapshots{Snapshots: []admin.Snapshot{
		nightly, weekly,
		{ID: "disk-a.snapshots.snapshot-x", Pool: "default", Path: "/pool/snapshots/x/data", Quarantine: "its snapshot.json\nis gone"},
	}}
	b["GET /snapshots"] = admin.Snapshots{Snapshots: []admin.Snapshot{foreign}}
	source, restored := answered("pvc-1", "a", 412<<20, "xfs"), answered("pvc-2", "b", 1000<<20, "xfs")
	source.Snapshots, source.Source = 2, nightly.ID
	restored.Source = "disk-b.pvc-3"
	a["GET /volumes"] = admin.Volumes{Volumes: []admin.Volume{source}}
	ledger := answered("pvc-3", "b", 0, "")
	ledger.Claim = &admin.Claim{Namespace: "bank", Name: "ledger"}
	b["GET /volumes"] = admin.Volumes{Volumes: []admin.Volume{restored, ledger}}
	return c, a, b
}

func TestSnapshots(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(c *testCluster, a, b canned)
		args   string
		status int
		want   string
	}{
		{"a namespace", nil, "snapshots -n shop", OK, `
SNAPSHOT  CLAIM    NODE  POOL     HOLDS  ALONE  METHOD     CONSISTENCY  AGE  READY
nightly   www-web  a     default  300Mi  3Mi    subvolume  atomic       3h   true
weekly    www-web  a     default  -      -      -          -            3h   false, copying 1Mi of some 4Mi
`},
		{"all", nil, "snapshots -A -o wide", OK, `
SNAPSHOT      CLAIM         NODE  POOL     HOLDS  ALONE  METHOD     CONSISTENCY  AGE  READY                           SIZE  CONTENT          PATH                          MESSAGE
bank/audit    bank/www-web  b     fast     1Mi    -      reflink    idle         3h   true                            1Gi   content-audit    /pool/snapshots/audit/data    -
shop/nightly  shop/www-web  a     default  300Mi  3Mi    subvolume  atomic       3h   true                            1Gi   content-nightly  /pool/snapshots/nightly/data  -
shop/weekly   shop/www-web  a     default  -      -      -          -            3h   false, copying 1Mi of some 4Mi  1Gi   content-weekly   /pool/snapshots/weekly/data   -
snapshot-x    -             a     default  -      -      -          -            -    quarantined                     -     -                /pool/snapshots/x/data        its snapshot.json is gone
`},
		{"the largest first", nil, "snapshots -A --sort holds -o name", OK, `
shop/nightly
bank/audit
shop/weekly
snapshot-x
`},
		{"a pool", nil, "snapshots -A --pool fast -o name", OK, "\nbank/audit\n"},
		{"a node", nil, "snapshots -A --node b -o name", OK, "\nbank/audit\n"},
		{"none", nil, "snapshots -n other -o json", OK, `
[]
--- stderr
No snapshots of hostdir found
`},
		{"a node is silent", func(c *testCluster, _, _ canned) { c.plugins["b"] = nil }, "snapshots -n shop -o name", Unknown, `
shop/nightly
shop/weekly
--- stderr
Error: node b: the node plugin does not answer: no route
`},
		{"a word that is none", nil, "snapshots --sort colour", Unknown, `
--- stderr
Error: --sort=colour is none of snapshot, claim, node, pool, holds, alone, age
`},
		{"volumes count them", nil, "volumes -n shop -o wide", OK, `
CLAIM      POD    NODE  POOL     SIZE  USED                      AGE  UNUSED  QUOTA  SNAPSHOTS  STATUS  PV     PATH
www-web-0  web-0  a     default  1Gi   412Mi   [####......] 40%  3h   -       xfs    2          Bound   pvc-1  /pool/volumes/pvc-1/data
www-web-1  -      b     default  1Gi   1000Mi  [##########] 97%  3h   40d     xfs    0          Bound   pvc-2  /pool/volumes/pvc-2/data
`},
		{"one screen", func(_ *testCluster, a, _ canned) {
			broken := testDisk("a", 60<<30, 30<<30)
			broken.QuarantinedSnapshots = 1
			a["GET /disks"] = admin.Disks{Disks: []admin.Disk{broken}}
		}, "-o name", Wrong, `
node a, disk /pool
`},
		{"show", nil, "show shop/www-web-0", OK, `
Claim:           shop/www-web-0
Status:          Bound
Class:           hostdir
Access modes:    ReadWriteOnce
Volume:          pvc-1
Volume ID:       disk-a.pvc-1
Reclaim policy:  Delete
Node:            a
Pool:            default
Path:            /pool/volumes/pvc-1/data
Size:            1Gi
Used:            412Mi [####......] 40%, 42 files and directories
Quota:           xfs
Began as:        snapshot shop/nightly (disk-a.snapshots.snapshot-nightly)
Made for:        shop/gone
Age:             3h

POD    CONTAINER  MOUNTED AT        POD IS
web-0  nginx      /usr/share/nginx  Running

SNAPSHOT      HOLDS  ALONE  METHOD     CONSISTENCY  AGE  READY
shop/nightly  300Mi  3Mi    subvolume  atomic       3h   true
shop/weekly   -      -      -          -            3h   false, copying 1Mi of some 4Mi

AGE   TYPE    ABOUT      REASON     EVENT
120m  Normal  Pod/web-0  Scheduled  assigned to a
`},
		{"show a clone", nil, "show shop/www-web-1", OK, `
Began as:        claim bank/ledger (disk-b.pvc-3)
`},
		{"show a clone of what is gone", func(_ *testCluster, _, b canned) {
			v := answered("pvc-2", "b", 0, "")
			v.Source = "disk-b.snapshots.old"
			b["GET /volumes"] = admin.Volumes{Volumes: []admin.Volume{v}}
		}, "show shop/www-web-1", OK, `
Began as:        disk-b.snapshots.old
`},
		{"show one that waits", func(c *testCluster, _, _ canned) {
			waits := testClaim("shop", "waits", "")
			waits.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: "VolumeSnapshot", Name: "nightly"}
			c.clients.CoreV1().PersistentVolumeClaims("shop").Update(t.Context(), waits, metav1.UpdateOptions{})
		}, "show shop/waits", OK, `
Begins as:     VolumeSnapshot shop/nightly
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, a, b := newSnapshotShop()
			if test.change != nil {
				test.change(c, a, b)
			}
			got, status := c.got(t, strings.Fields(test.args)...)
			want := strings.TrimPrefix(test.want, "\n")
			if strings.Count(want, "\n") == 1 && strings.Contains(got, want) { // of that only a line matters
				got = want
			}
			if diff := cmp.Diff(want, got); diff != "" || status != test.status {
				t.Errorf("status %d, want %d (-want +got):\n%s", status, test.status, diff)
			}
		})
	}
}

// TestSnapshotOnMovedDisk tells the node that has a snapshot, not the one that made it.
func TestSnapshotOnMovedDisk(t *testing.T) {
	c, _, _ := newSnapshotShop()
	if got, _ := c.got(t, "snapshots", "-A", "--node", "b", "-o", "yaml"); !strings.Contains(got, "\n  node: b\n") {
		t.Errorf("it is on node b:\n%s", got)
	}
}
