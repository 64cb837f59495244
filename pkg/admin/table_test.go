package admin

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDisksTable(t *testing.T) {
	bytes := func(n int64) *int64 { return &n }
	disks := Disks{
		ConfigError: "unknown field",
		Disks: []Disk{
			{
				Pool: "default", Path: "/var/lib/hostdir", State: Ready, SizeBytes: bytes(100 << 30), FreeBytes: bytes(50 << 30),
				AllocatedBytes: 10 << 30, AvailableBytes: 1536 << 20, Volumes: 12, Quota: NoQuota, WhyAdvisory: "it is tmpfs",
				OtherNodes: []NodeVolumes{{Node: "worker-1", Volumes: 3}, {Node: "a\nb", Volumes: 2}, {Node: "c", Volumes: 2}, {Node: "d", Volumes: 1}, {Node: "e", Volumes: 1}},
			},
			{Pool: "nvme", Path: "/mnt/nvme0", State: NoNewVolumes, Message: "it is read-only", SizeBytes: bytes(1 << 40), FreeBytes: bytes(0), Quota: "xfs", Trash: 3, Stuck: 1, OtherNodes: []NodeVolumes{{Node: "worker-1", Volumes: 1}}},
			{Pool: "nvme", Path: "/mnt/nvme1", State: Unusable, Message: "no disk is mounted there"},
		},
	}
	var out strings.Builder
	if err := disks.WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	want := `
POOL     PATH              STATE           SIZE   FREE  ALLOCATED  AVAILABLE  VOLUMES  QUOTA
default  /var/lib/hostdir  ready           100Gi  50Gi  10Gi       1536Mi     12       advisory
nvme     /mnt/nvme0        no-new-volumes  1Ti    0     0          0          0        xfs
nvme     /mnt/nvme1        unusable        -      -     0          0          0        -

/var/lib/hostdir: capacity is advisory: it is tmpfs
/var/lib/hostdir: volumes that were made on another node: 9 (worker-1: 3, a b: 2, c: 2, and 2 more nodes). That is right if the disk was moved here, or this node renamed: their PersistentVolumes name this node then (hostdir volumes pv). If this machine is a clone, they take room and belong to nobody: see "A node was cloned" in docs/how-to/troubleshooting.md
/mnt/nvme0: no-new-volumes: it is read-only
/mnt/nvme0: volumes that were made on another node: 1 (worker-1: 1). That is right if the disk was moved here, or this node renamed: their PersistentVolumes name this node then (hostdir volumes pv). If this machine is a clone, they take room and belong to nobody: see "A node was cloned" in docs/how-to/troubleshooting.md
/mnt/nvme0: deleted volumes in the trash (hostdir trash): 3
/mnt/nvme0: deleted volumes that cannot be removed (hostdir trash says why): 1
/mnt/nvme1: unusable: no disk is mounted there
The configuration file is refused, the last good one is in force: unknown field
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestVolumesTable(t *testing.T) {
	now := time.Now()
	used := func(bytes int64, ago time.Duration) *Used { return &Used{Bytes: bytes, At: now.Add(-ago)} }
	claim := func(name string) *Claim { return &Claim{Namespace: "shop", Name: name} }
	volumes := Volumes{Volumes: []Volume{
		{ID: "uuid.pvc-0", Pool: "default", Path: "/p/0", Quarantine: "its volume.json\ncannot be read"},
		{ID: "uuid.1", Name: "pvc\t1", Pool: "default", Path: "/p/1", CapacityBytes: 1 << 30},
		{ID: "uuid.2", Name: "pvc-2", Claim: claim("a"), Pool: "default", Path: "/p/2", CapacityBytes: 1 << 30, Used: used(1000, 20*time.Second), Quota: "xfs", Enforced: true},
		{ID: "uuid.3", Name: "pvc-3", Claim: claim("b"), Pool: "default", Path: "/p/3", CapacityBytes: 1 << 30, Used: used(5<<20, 3*time.Minute), Quota: "xfs"},
		{ID: "uuid.4", Name: "pvc-4", Claim: claim("c"), Pool: "nvme", Path: "/p/4", CapacityBytes: 10 << 30, Used: used(0, 30*time.Hour)},
	}}
	var out strings.Builder
	if err := volumes.WriteTable(&out, now); err != nil {
		t.Fatal(err)
	}
	want := `
MADE-FOR  VOLUME  POOL     NODE-PATH  SIZE  USED  COUNTED  QUOTA
-         pvc-0   default  /p/0       -     -     -        quarantined: its volume.json cannot be read
-         pvc 1   default  /p/1       1Gi   -     not yet  advisory
shop/a    pvc-2   default  /p/2       1Gi   1000  20s ago  xfs
shop/b    pvc-3   default  /p/3       1Gi   5Mi   3m ago   xfs, not in force: see hostdir disks
shop/c    pvc-4   nvme     /p/4       10Gi  0     30h ago  advisory
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestTrashTable(t *testing.T) {
	now := time.Now()
	moment := func(d time.Duration) *time.Time { m := now.Add(d); return &m }
	used := int64(5 << 20)
	trash := Trash{Volumes: []DeletedVolume{
		{Entry: "pvc-1.purge.uuid", Pool: "default", Path: "/p/trash/pvc-1.purge.uuid", PurgeError: "mounted is a mount:\nunmount it"},
		{
			Entry: "pvc-2.20261123T120000Z.uuid", ID: "base.pvc-2", Name: "pvc-2", Claim: &Claim{Namespace: "shop", Name: "a"}, Pool: "nvme",
			CapacityBytes: 1 << 30, UsedBytes: &used, Deleted: moment(-3 * time.Hour), PurgeAt: moment(21*time.Hour + time.Minute),
		},
		{Entry: "pvc-3.20261123T120000Z.uuid", ID: "base.pvc-3", Name: "pvc-3", Pool: "nvme", Deleted: moment(-time.Minute), PurgeAt: moment(-time.Second)},
	}}
	var out strings.Builder
	if err := trash.WriteTable(&out, now); err != nil {
		t.Fatal(err)
	}
	want := `
MADE-FOR  VOLUME  POOL     SIZE  USED  DELETED  PURGED-IN  ENTRY
-         -       default  -     -     -        now        pvc-1.purge.uuid
shop/a    pvc-2   nvme     1Gi   5Mi   3h ago   21h        pvc-2.20261123T120000Z.uuid
-         pvc-3   nvme     0     -     1m ago   now        pvc-3.20261123T120000Z.uuid

/p/trash/pvc-1.purge.uuid: it cannot be removed: mounted is a mount: unmount it
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestSnapshotsTable(t *testing.T) {
	now := time.Now()
	moment := func(d time.Duration) *time.Time { m := now.Add(-d); return &m }
	alone, claim := int64(1<<20), &Claim{Namespace: "shop", Name: "data"}
	snapshots := Snapshots{
		Snapshots: []Snapshot{
			{ID: "uuid.snapshots.snapshot-0", Pool: "default", Path: "/p/0", Quarantine: "its snapshot.json\ncannot be read"},
			{
				ID: "uuid.snapshots.snapshot-1", VolumeSnapshot: &Claim{Namespace: "shop", Name: "nightly"}, Claim: claim, Pool: "default", Path: "/p/1",
				Bytes: 5 << 30, AloneBytes: &alone, Method: "subvolume", Consistency: "atomic", Created: moment(3 * time.Hour), Ready: true,
			},
			{ID: "uuid.snapshots.snapshot-2", Claim: claim, Pool: "nvme", Path: "/p/2", Bytes: 1 << 30, Method: "reflink", Consistency: "any", Created: moment(time.Minute), Ready: true},
			{
				ID: "uuid.snapshots.snapshot-3", Claim: claim, Pool: "nvme", Path: "/p/3", Created: moment(time.Minute),
				Progress: &Progress{Phase: "copying", Bytes: 1 << 30, TotalBytes: 4 << 30},
			},
			{ID: "uuid.snapshots.snapshot-4", Pool: "nvme", Path: "/p/4", Created: moment(time.Second)},
		},
		Copies: []Copy{{Volume: "pvc-1", Source: "uuid.pvc-0"}, {Volume: "pvc-2", Source: "uuid.pvc-0", Progress: &Progress{Phase: "copying", Bytes: 3 << 20}}},
	}
	var out strings.Builder
	if err := snapshots.WriteTable(&out, now); err != nil {
		t.Fatal(err)
	}
	want := `
SNAPSHOT      MADE-FROM  POOL     NODE-PATH  HOLDS  ALONE  METHOD     CONSISTENCY  AGE  READY
snapshot-0    -          default  /p/0       -      -      -          -            -    quarantined
shop/nightly  shop/data  default  /p/1       5Gi    1Mi    subvolume  atomic       3h   true
snapshot-2    shop/data  nvme     /p/2       1Gi    -      reflink    any          1m   true
snapshot-3    shop/data  nvme     /p/3       -      -      -          -            1m   false, copying 1Gi of some 4Gi
snapshot-4    -          nvme     /p/4       -      -      -          -            1s   false

/p/0: quarantined: its snapshot.json cannot be read
volume pvc-1 is being made as a copy of uuid.pvc-0
volume pvc-2 is being made as a copy of uuid.pvc-0: copying 3Mi
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}
