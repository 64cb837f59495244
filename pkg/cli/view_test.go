package cli

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/hostdir/hostdir/pkg/admin"
)

const testDriver = "csi.hostdir.io"

// since is a moment so long ago, with room for a slow test.
func since(d time.Duration) time.Time { return time.Now().Add(-d - time.Second) }

func testClaim(namespace, name, pv string) *corev1.PersistentVolumeClaim {
	class := "hostdir"
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, CreationTimestamp: metav1.NewTime(since(3 * time.Hour)),
			Annotations: map[string]string{"volume.kubernetes.io/storage-provisioner": testDriver, "volume.kubernetes.io/selected-node": "a"},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, VolumeName: pv, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
	if pv != "" {
		c.Status.Phase, c.Status.Capacity = corev1.ClaimBound, size
	}
	return c
}

func testVolume(name, node, namespace, claim string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(since(3 * time.Hour))},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: testDriver, VolumeHandle: "disk-" + node + "." + name}},
			ClaimRef:               &corev1.ObjectReference{Namespace: namespace, Name: claim},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: testDriver + "/node", Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound},
	}
}

func testPod(namespace, name, claim, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{
			NodeName:   node,
			Containers: []corev1.Container{{Name: "nginx", VolumeMounts: []corev1.VolumeMount{{Name: "www", MountPath: "/usr/share/nginx"}, {Name: "tmp", MountPath: "/tmp"}}}},
			Volumes: []corev1.Volume{
				{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{Name: "www", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}},
			},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
}

// answered is a volume as its node tells it.
func answered(name, node string, used int64, quota admin.QuotaKind) admin.Volume {
	v := admin.Volume{
		ID: "disk-" + node + "." + name, Name: name, Pool: "default", Node: node, Path: "/pool/volumes/" + name + "/data", CapacityBytes: 1 << 30,
		Quota: quota, Enforced: quota != "", Claim: &admin.Claim{Namespace: "shop", Name: "gone"},
	}
	if used >= 0 {
		files := int64(42)
		v.Used = &admin.Used{Bytes: used, Inodes: &files}
	}
	return v
}

func testDisk(node string, free, available int64) admin.Disk {
	size := int64(100 << 30)
	return admin.Disk{Pool: "default", Path: "/pool", UUID: "disk-" + node, State: admin.Ready, SizeBytes: &size, FreeBytes: &free, AvailableBytes: available, Volumes: 2, Quota: "xfs"}
}

// newShop is two nodes with the claims of a shop and of a bank.
func newShop() (c *testCluster, a, b canned) {
	a = canned{
		"GET /disks":   admin.Disks{Disks: []admin.Disk{testDisk("a", 60<<30, 30<<30)}},
		"GET /volumes": admin.Volumes{Volumes: []admin.Volume{answered("pvc-1", "a", 412<<20, "xfs"), answered("pvc-left", "a", -1, "")}},
	}
	b = canned{
		"GET /disks":   admin.Disks{Disks: []admin.Disk{testDisk("b", 100<<30, 100<<30)}},
		"GET /volumes": admin.Volumes{Volumes: []admin.Volume{answered("pvc-2", "b", 1000<<20, "xfs"), answered("pvc-3", "b", 0, "")}},
	}
	idle := testClaim("shop", "www-web-1", "pvc-2")
	idle.Annotations["volume.kubernetes.io/selected-node"] = "b"
	idle.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{
		Type: corev1.PersistentVolumeClaimUnused, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(since(40 * 24 * time.Hour)),
	}}
	foreign := testVolume("pvc-foreign", "a", "shop", "foreign")
	foreign.Spec.CSI.Driver = "csi.example.com"
	foreignClaim := testClaim("shop", "foreign", "pvc-foreign")
	foreignClaim.Annotations = nil
	replicas := int32(1)
	return newTestCluster(map[string]http.Handler{"a": a, "b": b},
		testClaim("shop", "www-web-0", "pvc-1"), idle, foreignClaim, testClaim("shop", "waits", ""), testClaim("bank", "ledger", "pvc-3"),
		testVolume("pvc-1", "a", "shop", "www-web-0"), testVolume("pvc-2", "b", "shop", "www-web-1"), foreign, testVolume("pvc-3", "b", "bank", "ledger"),
		testPod("shop", "web-0", "www-web-0", "a"),
		&corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "e"}, InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "web-0"},
			Type: "Normal", Reason: "Scheduled", Message: "assigned to\na", LastTimestamp: metav1.NewTime(since(2 * time.Hour)),
		},
		&storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{{Name: testDriver}}}},
		&storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{{Name: testDriver}}}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "hostdir-system", Name: "hostdir-controller"}, Spec: appsv1.DeploymentSpec{Replicas: &replicas}, Status: appsv1.DeploymentStatus{AvailableReplicas: 1}},
	), a, b
}

// onlyIn takes all rights but those in a namespace.
func (c *testCluster) onlyIn(namespace string) {
	c.clients.PrependReactor("*", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetNamespace() == namespace {
			return false, nil, nil
		}
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: action.GetResource().Resource}, "", errors.New("not yours"))
	})
}

// got is all that a command shows.
func (c *testCluster) got(t *testing.T, args ...string) (string, int) {
	t.Helper()
	stdout, stderr, status := c.run(t, "", args...)
	if stderr != "" {
		stdout += "--- stderr\n" + stderr
	}
	return stdout, status
}

func TestVolumes(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(c *testCluster)
		args   string
		status int
		want   string
	}{
		{"a namespace", nil, "-n shop", OK, `
CLAIM      POD    NODE  POOL     SIZE  USED                      AGE  UNUSED  QUOTA
www-web-0  web-0  a     default  1Gi   412Mi   [####......] 40%  3h   -       xfs
www-web-1  -      b     default  1Gi   1000Mi  [##########] 97%  3h   40d     xfs
`},
		{"all", nil, "-A --sort full -o wide", OK, `
CLAIM           POD    NODE  POOL     SIZE  USED                      AGE  UNUSED  QUOTA     SNAPSHOTS  STATUS     PV        PATH
shop/www-web-1  -      b     default  1Gi   1000Mi  [##########] 97%  3h   40d     xfs       0          Bound      pvc-2     /pool/volumes/pvc-2/data
shop/www-web-0  web-0  a     default  1Gi   412Mi   [####......] 40%  3h   -       xfs       0          Bound      pvc-1     /pool/volumes/pvc-1/data
bank/ledger     -      b     default  1Gi   0       [..........] 0%   3h   -       advisory  0          Bound      pvc-3     /pool/volumes/pvc-3/data
shop/gone       -      a     default  1Gi   -                         -    -       advisory  0          Forgotten  pvc-left  /pool/volumes/pvc-left/data
`},
		{"a node, without headers", nil, "-A --node b --no-headers", OK, `
bank/ledger     -  b  default  1Gi  0       [..........] 0%   3h  -    advisory
shop/www-web-1  -  b  default  1Gi  1000Mi  [##########] 97%  3h  40d  xfs
`},
		{"names", nil, "-A -o name", OK, `
bank/ledger
shop/gone
shop/www-web-0
shop/www-web-1
`},
		{"unused", nil, "-A --unused 30d", OK, `
CLAIM           POD  NODE  POOL     SIZE  USED                      AGE  UNUSED  QUOTA
shop/www-web-1  -    b     default  1Gi   1000Mi  [##########] 97%  3h   40d     xfs
`},
		{"unused for longer", nil, "-A --unused 41d -o json", OK, `
[]
--- stderr
No volumes of hostdir found
`},
		{"nobody is told to be unused", nil, "-n bank --unused 1h", OK, `
CLAIM  POD  NODE  POOL  SIZE  USED    AGE  UNUSED  QUOTA
--- stderr
No claim says since when it is unused: either all are used, or the cluster does not tell (Kubernetes 1.37 does)
`},
		{"a pool without", nil, "-n shop --pool fast", OK, `
CLAIM  POD  NODE  POOL  SIZE  USED    AGE  UNUSED  QUOTA
--- stderr
No volumes of hostdir found
`},
		{"rights in the namespace only", func(c *testCluster) { c.onlyIn("shop") }, "-n shop -o wide", OK, `
CLAIM      POD    NODE  POOL  SIZE  USED    AGE  UNUSED  QUOTA  SNAPSHOTS  STATUS  PV           PATH
foreign    -      -     -     1Gi   -       3h   -       -      -          Bound   pvc-foreign  -
www-web-0  web-0  a     -     1Gi   -       3h   -       -      -          Bound   pvc-1        -
www-web-1  -      b     -     1Gi   -       3h   40d     -      -          Bound   pvc-2        -
--- stderr
Could not look at PersistentVolumes: you may not (persistentvolumes is forbidden: not yours)
Could not look at hostdir on the nodes: you may not (pods is forbidden: not yours; the Role hostdir-nodes in that namespace allows what kubectl hostdir asks of nodes)
Whether these claims are hostdir's cannot be told without their PersistentVolumes: shop/foreign
`},
		{"a node is silent", func(c *testCluster) { c.plugins["b"] = nil }, "-n shop", Unknown, `
CLAIM      POD    NODE  POOL     SIZE  USED                     AGE  UNUSED  QUOTA
www-web-0  web-0  a     default  1Gi   412Mi  [####......] 40%  3h   -       xfs
www-web-1  -      b     -        1Gi   -                        3h   40d     -
--- stderr
Could not look at hostdir on the nodes: node b: the node plugin does not answer: no route
Error: not everything is shown
`},
		{"hostdir is away from a node", func(c *testCluster) {
			c.clients.CoreV1().Pods("hostdir-system").Delete(t.Context(), "hostdir-node-b", metav1.DeleteOptions{})
		}, "-n shop", Unknown, `
CLAIM      POD    NODE  POOL     SIZE  USED                     AGE  UNUSED  QUOTA
www-web-0  web-0  a     default  1Gi   412Mi  [####......] 40%  3h   -       xfs
www-web-1  -      b     -        1Gi   -                        3h   40d     -
--- stderr
Could not look at hostdir on node b: it has no pod there
Error: not everything is shown
`},
		{"a word that is none", nil, "--sort colour", Unknown, `
--- stderr
Error: --sort=colour is none of claim, node, pool, size, used, full, age, unused
`},
		{"a time that is none", nil, "--unused soon", Unknown, `
--- stderr
Error: --unused=soon: write 30d or 12h
`},
		{"json is not watched", nil, "-w -o json", Unknown, `
--- stderr
Error: --watch shows lines of a table, and not --output=json
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _, _ := newShop()
			if test.change != nil {
				test.change(c)
			}
			got, status := c.got(t, append([]string{"volumes"}, strings.Fields(test.args)...)...)
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), got); diff != "" || status != test.status {
				t.Errorf("status %d, want %d (-want +got):\n%s", status, test.status, diff)
			}
		})
	}
}

func TestOverview(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(c *testCluster, a, b canned)
		args   string
		status int
		want   string
	}{
		{"well", nil, "", OK, `
hostdir is well; nodes: 2, disks: 2, volumes: 4

NODE  POOL     DISK   STATE  USED # PROMISED = FREE .  USED  PROMISED  FREE   VOLUMES  QUOTA
a     default  /pool  ready  [########======......]    40Gi  30Gi      30Gi   2        xfs
b     default  /pool  ready  [....................]    0     0         100Gi  2        xfs
`},
		{"all is wrong", func(c *testCluster, a, b canned) {
			full := testDisk("a", 1<<30, 0)
			full.Stuck = 1
			cordoned, readOnly, absent := testDisk("c", 50<<30, 50<<30), testDisk("d", 50<<30, 50<<30), admin.Disk{Pool: "fast", Path: "/mnt/x", UUID: "disk-x", State: admin.Unusable, Reason: "absent", Message: "no disk is mounted there"}
			cordoned.Path, cordoned.State, cordoned.Cordoned = "/mnt/c", admin.CordonedOff, "it is cordoned since noon"
			readOnly.Path, readOnly.State, readOnly.Message = "/mnt/d", admin.NoNewVolumes, "it is read-only"
			a["GET /disks"] = admin.Disks{ConfigError: "unknown field \"pols\"", Disks: []admin.Disk{full, cordoned, readOnly, absent}}
			quarantined, loose, away := answered("pvc-1", "a", -1, ""), answered("pvc-5", "a", -1, "xfs"), answered("pvc-6", "x", -1, "xfs")
			quarantined.Quarantine, loose.Enforced, away.Enforced = "its volume.json\ncannot be read", false, false
			a["GET /volumes"] = admin.Volumes{Volumes: []admin.Volume{quarantined, loose, away}}
			c.plugins["b"] = nil
			replicas := int32(1)
			c.clients.AppsV1().Deployments("hostdir-system").Update(t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "hostdir-system", Name: "hostdir-controller"}, Spec: appsv1.DeploymentSpec{Replicas: &replicas}}, metav1.UpdateOptions{})
			c.clients.StorageV1().CSINodes().Delete(t.Context(), "b", metav1.DeleteOptions{})
			p := readyPod("b")
			p.Status.Conditions, p.Status.ContainerStatuses = nil, []corev1.ContainerStatus{{Name: "hostdir", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
			c.clients.CoreV1().Pods("hostdir-system").Update(t.Context(), p, metav1.UpdateOptions{})
		}, "", Wrong, `
hostdir has problems: 9; nodes: 2, disks: 4, volumes: 3

NODE  POOL     DISK    STATE           USED # PROMISED = FREE .  USED  PROMISED  FREE  VOLUMES  QUOTA
a     default  /pool   ready           [####################]    99Gi  1Gi       0     2        xfs
a     default  /mnt/c  cordoned        [##########..........]    50Gi  0         50Gi  2        xfs
a     default  /mnt/d  no-new-volumes  [##########..........]    50Gi  0         50Gi  2        xfs
a     fast     /mnt/x  unusable        -                         -     -         -     0        -

node a: the configuration is refused, the last good one is in force: unknown field "pols"
    kubectl -n hostdir-system edit configmap hostdir-node, or helm upgrade with other values

node a, disk /pool: deleted volumes that cannot be removed: 1
    kubectl hostdir trash --node a -o wide says why

node a, disk /mnt/c: it takes no new volumes: it is cordoned since noon
    kubectl hostdir disks uncordon a:/mnt/c

node a, disk /mnt/d: it takes no new volumes: it is read-only
    kubectl hostdir check --node a

node a, disk /mnt/x: it is not used: no disk is mounted there
    mount it at /mnt/x on a; hostdir uses it at once

node a: volumes in quarantine, which are neither published nor deleted: 1; for instance: its volume.json cannot be read
    kubectl hostdir check --node a

node a: volumes whose quota is not in force: 1; they can fill their disk
    kubectl hostdir check --node a

node b: hostdir's pod hostdir-node-b is not ready: container hostdir: CrashLoopBackOff
    kubectl -n hostdir-system describe pod hostdir-node-b

hostdir-controller: none of its pods is available: claims do not grow, lost nodes are not noticed, and claims bind more slowly
    kubectl -n hostdir-system describe deployment hostdir-controller
`},
		{"kubelet does not know it", func(c *testCluster, _, _ canned) {
			c.clients.StorageV1().CSINodes().Delete(t.Context(), "b", metav1.DeleteOptions{})
		}, "", Wrong, `
hostdir has problems: 1; nodes: 2, disks: 2, volumes: 4

NODE  POOL     DISK   STATE  USED # PROMISED = FREE .  USED  PROMISED  FREE   VOLUMES  QUOTA
a     default  /pool  ready  [########======......]    40Gi  30Gi      30Gi   2        xfs
b     default  /pool  ready  [....................]    0     0         100Gi  2        xfs

node b: kubelet does not know hostdir: the CSINode does not name csi.hostdir.io, and no pod with its volumes starts there
    kubectl -n hostdir-system logs hostdir-node-b -c hostdir; deleting the pod lets it register anew
`},
		{"a node does not answer", func(c *testCluster, _, _ canned) { c.plugins["b"] = nil }, "", Wrong, `
hostdir has problems: 1; nodes: 2, disks: 1, volumes: 2

NODE  POOL     DISK   STATE  USED # PROMISED = FREE .  USED  PROMISED  FREE  VOLUMES  QUOTA
a     default  /pool  ready  [########======......]    40Gi  30Gi      30Gi  2        xfs

node b: the node plugin does not answer: no route
    kubectl -n hostdir-system logs hostdir-node-b -c hostdir
`},
		{"a node has another version", func(_ *testCluster, a, _ canned) { a["version"] = "v1.1.0" }, "-o name", OK, `
--- stderr
Warning: hostdir is version v1.1.0 on a, and this program is version v1.2.3: they may not understand each other in all
`},
		{"names of what is wrong", func(c *testCluster, _, _ canned) { c.plugins["b"] = nil }, "-o name", Wrong, `
node b
`},
		{"no exec", func(c *testCluster, a, b canned) {
			c.refusal = errors.New(`pods "hostdir-node-a" is forbidden: User "eve" cannot create resource "pods/exec"`)
		}, "", Unknown, `
hostdir could not be looked at in full; nodes: 2, disks: 0, volumes: 0

Could not look at hostdir on the nodes: you may not (node a: the node plugin does not answer: pods "hostdir-node-a" is forbidden: User "eve" cannot create resource "pods/exec")
`},
		{"no rights at all", func(c *testCluster, _, _ canned) { c.onlyIn("shop") }, "", Unknown, `
hostdir could not be looked at in full; nodes: 0, disks: 0, volumes: 0

Could not look at hostdir's pods: you may not (pods is forbidden: not yours; the Role hostdir-nodes in that namespace allows what kubectl hostdir asks of nodes)
Could not look at CSINodes: you may not (csinodes is forbidden: not yours)
Could not look at hostdir-controller: you may not (deployments is forbidden: not yours)
`},
		{"not installed there", nil, "--system-namespace elsewhere", Unknown, `
hostdir could not be looked at in full; nodes: 0, disks: 0, volumes: 0

Could not look at hostdir's pods: no pod of hostdir is in namespace elsewhere: is it installed there? --system-namespace names another one
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, a, b := newShop()
			for _, node := range []string{"a", "b"} {
				if _, err := c.clients.CoreV1().Pods("hostdir-system").Update(t.Context(), readyPod(node), metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if test.change != nil {
				test.change(c, a, b)
			}
			got, status := c.got(t, strings.Fields(test.args)...)
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), got); diff != "" || status != test.status {
				t.Errorf("status %d, want %d (-want +got):\n%s", status, test.status, diff)
			}
		})
	}
}

func readyPod(node string) *corev1.Pod {
	p := pluginPod(node)
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return p
}

func TestShowAndPath(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(c *testCluster)
		args   string
		status int
		want   string
	}{
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
Made for:        shop/gone
Age:             3h

POD    CONTAINER  MOUNTED AT        POD IS
web-0  nginx      /usr/share/nginx  Running

AGE   TYPE    ABOUT      REASON     EVENT
120m  Normal  Pod/web-0  Scheduled  assigned to a
`},
		{"show one that waits", nil, "show waits -n shop", OK, `
Claim:         shop/waits
Status:        Pending
Class:         hostdir
Access modes:  ReadWriteOnce
Node:          a
Size:          1Gi asked for
Age:           3h
Waits:         kubectl hostdir why shop/waits says what for
`},
		{"show with rights in the namespace only", func(c *testCluster) { c.onlyIn("shop") }, "show -n shop pvc/www-web-0", OK, `
Claim:         shop/www-web-0
Status:        Bound
Class:         hostdir
Access modes:  ReadWriteOnce
Volume:        pvc-1
Node:          a
Size:          1Gi
Age:           3h

POD    CONTAINER  MOUNTED AT        POD IS
web-0  nginx      /usr/share/nginx  Running

AGE   TYPE    ABOUT      REASON     EVENT
120m  Normal  Pod/web-0  Scheduled  assigned to a
--- stderr
Could not look at PersistentVolume pvc-1: you may not (persistentvolumes is forbidden: not yours)
Could not look at hostdir on the nodes: you may not (pods is forbidden: not yours; the Role hostdir-nodes in that namespace allows what kubectl hostdir asks of nodes)
`},
		{"show the name", nil, "show shop/www-web-1 -o name", OK, `
shop/www-web-1
`},
		{"show what is not there", nil, "show shop/none", Unknown, `
--- stderr
Error: there is no claim shop/none; kubectl hostdir volumes -A also shows volumes that claims have left
`},
		{"show another driver's", nil, "show shop/foreign", Unknown, `
--- stderr
Error: claim shop/foreign is not hostdir's: its volume pvc-foreign is of another driver
`},
		{"path", nil, "path shop/www-web-1", OK, `
b:/pool/volumes/pvc-2/data
`},
		{"path of one that waits", nil, "path shop/waits", Wrong, `
--- stderr
Error: claim shop/waits has no volume yet; kubectl hostdir why shop/waits says what it waits for
`},
		{"path without rights on nodes", func(c *testCluster) { c.onlyIn("shop") }, "path shop/www-web-0", Unknown, `
--- stderr
Could not look at PersistentVolume pvc-1: you may not (persistentvolumes is forbidden: not yours)
Could not look at hostdir on the nodes: you may not (pods is forbidden: not yours; the Role hostdir-nodes in that namespace allows what kubectl hostdir asks of nodes)
Error: where the data of claim shop/www-web-0 is cannot be told
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _, _ := newShop()
			if test.change != nil {
				test.change(c)
			}
			got, status := c.got(t, strings.Fields(test.args)...)
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), got); diff != "" || status != test.status {
				t.Errorf("status %d, want %d (-want +got):\n%s", status, test.status, diff)
			}
		})
	}
}

// starting gives pods that are made a name, and lets them run, or wait as is said.
func (c *testCluster) starting() {
	c.clients.PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		p := action.(clienttesting.CreateAction).GetObject().(*corev1.Pod)
		p.Name, p.Status.Phase = p.GenerateName+"x", corev1.PodRunning
		if c.waiting != "" {
			p.Status.Phase = corev1.PodPending
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "browse", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: c.waiting, Message: "no such image"}}}}
		}
		return false, nil, nil
	})
}

func TestBrowse(t *testing.T) {
	interrupted := errors.New("interrupted")
	for _, test := range []struct {
		name   string
		change func(c *testCluster)
		args   string
		status int
		want   string
	}{
		{"a command", nil, "shop/www-web-0 -- cat a b", OK, `
runs cat a b
--- stderr
Claim shop/www-web-0 is at /claim in pod hostdir-browse-x, read-only; the pod is deleted when this ends
`},
		{"a shell", nil, "shop/www-web-0 --user 1000 --image mine", OK, `
runs sh
--- stderr
Claim shop/www-web-0 is at /claim in pod hostdir-browse-x, read-only; the pod is deleted when this ends
`},
		{"interrupted", func(c *testCluster) { c.ends = interrupted }, "shop/www-web-0", Unknown, `
runs sh
--- stderr
Claim shop/www-web-0 is at /claim in pod hostdir-browse-x, read-only; the pod is deleted when this ends
Error: interrupted
`},
		{"no image", func(c *testCluster) { c.waiting = "ErrImagePull" }, "shop/www-web-0", Unknown, `
--- stderr
Claim shop/www-web-0 is at /claim in pod hostdir-browse-x, read-only; the pod is deleted when this ends
Error: pod hostdir-browse-x does not start: ErrImagePull: no such image; --image names another image
`},
		{"it does not start", func(c *testCluster) { c.waiting = "ContainerCreating" }, "shop/www-web-0 --timeout 1ms", Unknown, `
--- stderr
Claim shop/www-web-0 is at /claim in pod hostdir-browse-x, read-only; the pod is deleted when this ends
Error: pod hostdir-browse-x does not start within 1ms: container browse: ContainerCreating
`},
		{"not admitted", func(c *testCluster) {
			c.clients.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "hostdir-browse-x", errors.New("violates PodSecurity"))
			})
		}, "shop/www-web-0", Unknown, `
--- stderr
Error: the pod to look into claim shop/www-web-0 with is not admitted: pods "hostdir-browse-x" is forbidden: violates PodSecurity
`},
		{"it waits", nil, "shop/waits", Wrong, `
--- stderr
Error: claim shop/waits has no volume yet; kubectl hostdir why shop/waits says what it waits for
`},
		{"its node is gone", nil, "shop/www-web-1", Wrong, `
--- stderr
Error: claim shop/www-web-1 is on node b, which is not there: no pod can have it
`},
		{"another pod has it for itself", func(c *testCluster) {
			claim := testClaim("shop", "www-web-0", "pvc-1")
			claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
			c.clients.CoreV1().PersistentVolumeClaims("shop").Update(t.Context(), claim, metav1.UpdateOptions{})
		}, "shop/www-web-0", Wrong, `
--- stderr
Error: claim shop/www-web-0 is ReadWriteOncePod, and pod web-0 has it: look from there, with kubectl -n shop exec -it web-0 -- sh
`},
		{"it is being deleted", func(c *testCluster) {
			claim, now := testClaim("shop", "www-web-0", "pvc-1"), metav1.Now()
			claim.DeletionTimestamp = &now
			c.clients.CoreV1().PersistentVolumeClaims("shop").Update(t.Context(), claim, metav1.UpdateOptions{})
		}, "shop/www-web-0", Wrong, `
--- stderr
Error: claim shop/www-web-0 is being deleted: no new pod gets it
`},
		{"no dashes", nil, "shop/www-web-0 ls", Unknown, `
--- stderr
Error: write the command behind --: kubectl hostdir browse shop/www-web-0 -- ls
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _, _ := newShop()
			c.starting()
			if test.change != nil {
				test.change(c)
			}
			var ran *corev1.Pod
			c.runInPod = func(_ context.Context, pod *corev1.Pod, command []string, streams remotecommand.StreamOptions) error {
				ran = pod
				streams.Stdout.Write([]byte("runs " + strings.Join(command, " ") + "\n"))
				return c.ends
			}
			got, status := c.got(t, append([]string{"browse"}, strings.Fields(test.args)...)...)
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), got); diff != "" || status != test.status {
				t.Errorf("status %d, want %d (-want +got):\n%s", status, test.status, diff)
			}
			if ran != nil && (!ran.Spec.Volumes[0].PersistentVolumeClaim.ReadOnly || !ran.Spec.Containers[0].VolumeMounts[0].ReadOnly) {
				t.Errorf("the claim can be written to: %+v", ran.Spec)
			}
			left, err := c.clients.CoreV1().Pods("shop").List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=kubectl-hostdir"})
			if err != nil || len(left.Items) > 0 {
				t.Errorf("%v, pods that are left: %v", err, left.Items)
			}
		})
	}
}

func TestCompletion(t *testing.T) {
	for args, want := range map[string]string{
		"show -n shop www":          "www-web-0\nwww-web-1\n:4\n",
		"path -n shop www-web-0 ":   ":4\n",
		"browse -n bank ":           "ledger\n:4\n",
		"volumes --node ":           "a\nb\n:4\n",
		"volumes --pool ":           "default\n:4\n",
		"volumes --sort ":           "claim\nnode\npool\nsize\nused\nfull\nage\nunused\n:4\n",
		"snapshots --sort ":         "snapshot\nclaim\nnode\npool\nholds\nalone\nage\n:4\n",
		"snapshots --pool ":         "default\n:4\n",
		"disks --node b":            "b\n:4\n",
		"volumes --output ":         "table\nwide\njson\nyaml\nname\n:4\n",
		"why -n shop w":             "waits\nwww-web-0\nwww-web-1\n:4\n",
		"volumes --namespace shop ": ":4\n",
	} {
		c, _, _ := newShop()
		words := strings.Split(args, " ")
		got, _, status := c.run(t, "", append([]string{"__completeNoDesc"}, words...)...)
		if diff := cmp.Diff(want, got); diff != "" || status != OK {
			t.Errorf("%q: status %d (-want +got):\n%s", args, status, diff)
		}
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		looks := []shown{
			{notes: "a note\n", table: func() rows { return watched("a 1 5s", "b 1 5s") }},
			{notes: "a note\n", table: func() rows { return watched("a 1 7s", "b 2 7s") }},
			{notes: "another\n", table: func() rows { return watched("a 1 9s", "b 2 9s", "long 3 1s") }},
		}
		var out, errs strings.Builder
		s := &session{IOStreams: genericiooptions.IOStreams{Out: &out, ErrOut: &errs}}
		o := output{format: "table", watch: true}
		err := o.repeat(ctx, s, func(context.Context) (shown, error) {
			look := looks[0]
			if looks = looks[1:]; len(looks) == 0 {
				time.AfterFunc(pause/2, cancel)
			}
			return look, nil
		})
		if err != nil {
			t.Error(err)
		}
		want := "NAME  N  AGE\na     1  5s\nb     1  5s\nb     2  7s\nlong  3  1s\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff("a note\nanother\n", errs.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func watched(lines ...string) rows {
	r := rows{header: []string{"NAME", "N", "AGE"}, passing: []int{2}}
	for _, line := range lines {
		cells := strings.Fields(line)
		r.cells, r.names = append(r.cells, cells), append(r.names, cells[0])
	}
	return r
}

func TestBars(t *testing.T) {
	for _, test := range []struct {
		size, used, promised int64
		want                 string
	}{
		{100, 0, 0, "[..........]"},
		{100, 1, 1, "[#=........]"}, // little is seen as well
		{100, 40, 30, "[####===...]"},
		{100, 100, 0, "[##########]"},
		{100, 250, 50, "[##########]"}, // promised more than there is
		{100, 96, 4, "[##########]"},
		{0, 5, 5, "[..........]"},
	} {
		if got := drawBar(10, test.size, test.used, test.promised); got != test.want {
			t.Errorf("%d, %d of %d: %s, want %s", test.used, test.promised, test.size, got, test.want)
		}
	}
}

func TestColour(t *testing.T) {
	if got := paint(true, badTone, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("%q", got)
	}
	if got := paint(false, badTone, "x") + paint(true, noTone, "x"); got != "xx" {
		t.Errorf("%q", got)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if hasColour(file) || hasColour(&strings.Builder{}) {
		t.Error("what is no terminal is coloured")
	}
}
