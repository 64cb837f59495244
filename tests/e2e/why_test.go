//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/hostdir/hostdir/pkg/cli"
	"github.com/hostdir/hostdir/pkg/cli/why"
)

// why waits until `kubectl hostdir why` names this cause, and is sure of it.
func (t *test) why(subject string, want why.Name, flags ...string) why.Cause {
	t.Helper()
	var c why.Cause
	t.eventually(fmt.Sprintf("why %s says %s", subject, want), func() error {
		var stdout, stderr bytes.Buffer
		args := append([]string{"why", subject, "--namespace", t.namespace, "--output", "json"}, flags...)
		status := cli.Run(context.Background(), "dev", genericiooptions.IOStreams{In: strings.NewReader(""), Out: &stdout, ErrOut: &stderr}, args)
		c = why.Cause{}
		err := json.Unmarshal(stdout.Bytes(), &c)
		wantStatus := cli.Wrong
		switch {
		case c.Fine():
			wantStatus = cli.OK
		case c.Name == why.NotFound:
			wantStatus = cli.Unknown
		}
		if err != nil || c.Name != want || !c.Sure || status != wantStatus {
			time.Sleep(time.Second)
			return fmt.Errorf("status %d, %v %s: %s", status, err, &stderr, &stdout)
		}
		return nil
	})
	t.Logf("why %s: %s: %s %q; next: %s", subject, c.Name, c.Says, c.Evidence, c.Next)
	return c
}

func whyNamesWhatClaimsAskFor(t *test) {
	block, none, absent := corev1.PersistentVolumeBlock, "", "no-such-class-"+t.namespace
	mode := storagev1.VolumeBindingWaitForFirstConsumer
	foreign, err := t.StorageV1().StorageClasses().Create(context.Background(), &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{GenerateName: t.namespace + "-"}, Provisioner: "example.com/other", VolumeBindingMode: &mode,
	}, metav1.CreateOptions{})
	t.check(err)
	t.outside = append(t.outside, func() {
		t.check(t.StorageV1().StorageClasses().Delete(context.Background(), foreign.Name, metav1.DeleteOptions{}))
	})
	colour := t.createClass(map[string]string{"colour": "red"})
	nowhere := t.createClass(map[string]string{"pool": "nowhere"})
	of := func(class string) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = &class }
	}
	cases := []struct {
		name string
		want why.Name
		ask  func(*corev1.PersistentVolumeClaim)
	}{
		{"many", why.AccessMode, func(c *corev1.PersistentVolumeClaim) {
			c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
		}},
		{"block", why.BlockMode, func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = &block }},
		{"parameter", why.InvalidParameter, of(colour)},
		{"populated", why.InvalidRequest, func(c *corev1.PersistentVolumeClaim) {
			group := "example.com"
			c.Spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: &group, Kind: "Backup", Name: "idle"}
		}},
		{"source", why.SourceNotReady, func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "idle"}
		}},
		{"sourceless", why.SourceMissing, func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSource = &corev1.TypedLocalObjectReference{APIGroup: &volumeSnapshots.Group, Kind: "VolumeSnapshot", Name: "never"}
		}},
		{"classless", why.NoClass, of(none)},
		{"unclassed", why.ClassMissing, of(absent)},
		{"foreign", why.NotHostdir, of(foreign.Name)},
		{"nowhere", why.PoolUnknown, of(nowhere)},
		{"imported", why.Importing, func(c *corev1.PersistentVolumeClaim) {
			c.Annotations = map[string]string{driver + "/importing": "begun"}
		}},
		{"named", why.WaitsForReserved, func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "no-such-volume-" + t.namespace }},
		{"idle", why.NoPod, func(*corev1.PersistentVolumeClaim) {}},
	}
	for _, test := range cases {
		c := newClaim(test.name)
		test.ask(c)
		t.createClaim(c)
	}
	wants := map[string]why.Name{}
	for _, test := range cases {
		wants[test.name] = test.want
		t.why(test.name, test.want)
	}
	t.why("pvc/no-such-claim", why.NotFound)

	// The mistakes can be seen with rights in the namespace alone.
	t.kubectl("create", "role", "tenant", "--verb=get,list", "--resource=persistentvolumeclaims,pods,events")
	t.kubectl("create", "rolebinding", "tenant", "--role=tenant", "--user="+t.namespace)
	t.createPod(newPod("parameter", "parameter", "")) // so that hostdir is asked, and says what it thinks of the parameter
	for _, name := range []string{"many", "block", "parameter"} {
		c := t.why(name, wants[name], "--as", t.namespace)
		if !slices.ContainsFunc(c.Unseen, func(u why.Unseen) bool { return u.What == why.Nodes }) {
			t.Errorf("it does not say that nodes could not be looked at: %v", c.Unseen)
		}
	}
}

func whyNamesWhatPodsWaitFor(t *test) {
	node, other := t.nodes[0], t.nodes[1]
	t.createClaim(newClaim("data"))
	p := newPod("data", "data", signed)
	p.Spec.NodeSelector = on(node)
	t.createPod(p)
	t.podRuns("data")
	t.why("data", why.NothingWrong)
	t.why("pod/data", why.NothingWrong)

	// Pods that wait for something else than storage, and those that are not placed.
	lost := newPod("unschedulable", "data", "")
	lost.Spec.NodeSelector = map[string]string{"no-such-label": "true"}
	imageless := newPod("imageless", "data", "")
	imageless.Spec.Containers[0].Image, imageless.Spec.Containers[0].ImagePullPolicy = "localhost/no-such-image:1", corev1.PullNever
	misplaced := newPod("misplaced", "data", "")
	misplaced.Spec.NodeName = other
	orphan := newPod("orphan", "no-such-claim", "")
	plain := newPod("plain", "data", "")
	plain.Spec.Volumes, plain.Spec.Containers[0].VolumeMounts = nil, nil
	placed := newPod("placed", "placed", "")
	placed.Spec.NodeName = node
	t.createClaim(newClaim("placed"))
	for _, each := range []*corev1.Pod{lost, imageless, misplaced, orphan, plain, placed} {
		t.createPod(each)
	}
	for name, want := range map[string]why.Name{
		"unschedulable": why.PodUnschedulable, "imageless": why.ContainerWaits, "misplaced": why.PodMisplaced,
		"orphan": why.ClaimMissing, "plain": why.NoClaim, "placed": why.NodeNameSet,
	} {
		t.why("pod/"+name, want)
	}
	for _, name := range []string{"unschedulable", "imageless", "misplaced", "orphan", "plain", "placed"} {
		t.deletePod(name)
	}

	// Deleted under its pod, then held by somebody else's finalizer.
	t.kubectl("patch", "pvc", "data", "--type=json", "-p", `[{"op":"add","path":"/metadata/finalizers/-","value":"example.com/held"}]`)
	t.kubectl("delete", "pvc", "data", "--wait=false")
	if c := t.why("data", why.ClaimInUse); !strings.Contains(c.Next, "delete pod data") {
		t.Errorf("next is %q", c.Next)
	}
	pv := t.volumeOf("data")
	data := t.directory("data")
	t.deletePod("data")
	t.why("data", why.HeldByFinalizer)

	// The volume is not deleted while somebody has it mounted.
	held := filepath.Join(pool, "held-"+t.namespace)
	inside := strings.TrimPrefix(data, t.files[node])
	t.onNode(t, node, "sh", "-c", "mkdir -p "+held+" && mount --bind "+inside+" "+held)
	t.outside = append(t.outside, func() { t.onNode(t, node, "sh", "-c", "umount "+held+" 2>/dev/null; rmdir "+held) })
	t.kubectl("patch", "pvc", "data", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	t.why("data", why.VolumeInUse)
	t.onNode(t, node, "umount", held)
	await(t, "the volume goes", volumes, named(pv.Name), none)
	t.why("data", why.NotFound)
}

// A claim whose PersistentVolume is gone, and volumes that stay after their claims.
func whyNamesWhatBecameOfVolumes(t *test) {
	retain := newClaim("retained")
	class := "hostdir-retain"
	retain.Spec.StorageClassName = &class
	t.createClaim(retain)
	t.createClaim(newClaim("lost"))
	for _, name := range []string{"retained", "lost"} {
		t.createPod(newPod(name, name, signed))
		t.podRuns(name)
		t.deletePod(name)
	}
	kept, gone := t.volumeOf("retained"), t.volumeOf("lost")
	node := t.nodeOf(gone)
	t.deleteClaim("retained")
	t.why("retained", why.Retained)
	t.reclaim(kept.Name, corev1.PersistentVolumeReclaimDelete)

	t.kubectl("delete", "pv", gone.Name, "--wait=false")
	t.kubectl("patch", "pv", gone.Name, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	t.why("lost", why.VolumeLost)
	_, err := t.hostdir(t, node, "volumes", "delete", "--yes", gone.Name)
	t.check(err)
}

// whyNamesWhoTiesThePod has a pod whose first claim is on the small node.
func whyNamesWhoTiesThePod(t *test) {
	small := t.nodes[0]
	class := t.limitedClass()
	rooms := t.rooms("the room on each node is known", class, anyRoom)
	t.createClaim(sized("first", class, 16*mebibyte))
	p := newPod("first", "first", "")
	p.Spec.NodeSelector = on(small)
	t.createPod(p)
	t.podRuns("first")
	t.deletePod("first")

	t.createClaim(sized("second", class, rooms[small]+16*mebibyte))
	both := newPod("both", "first", "")
	both.Spec.Volumes = append(both.Spec.Volumes, corev1.Volume{Name: "second", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "second"},
	}})
	t.createPod(both)
	for _, subject := range []string{"second", "first", "pod/both"} {
		if c := t.why(subject, why.TiedElsewhere); c.Claim != t.namespace+"/second" {
			t.Errorf("it is about %s", c.Claim)
		}
	}
}

// whyNamesWhatIsWrongWithADisk does to a disk what can be done to one. A claim is bound
// there, and no pod uses it.
func whyNamesWhatIsWrongWithADisk(t *test) {
	node, other := t.nodes[0], t.nodes[1]
	d := t.losable(guarded, node)
	class := t.createClass(map[string]string{"pool": guarded.name})
	tied := func(name, class string) *corev1.Pod {
		t.createClaim(sized(name, class, 16*mebibyte))
		p := newPod(name, name, "")
		p.Spec.NodeSelector = on(node)
		t.createPod(p)
		return p
	}
	tied("data", class)
	t.podRuns("data")
	t.deletePod("data")
	volume := filepath.Join(guarded.dir, "volumes", t.volumeOf("data").Name)
	shell := func(script string) { t.onNode(t, node, "sh", "-ec", script) }
	again := func(command string) string {
		return "for i in 1 2 3 4 5; do " + command + " && exit; sleep 1; done; exit 1"
	}
	order := func(args ...string) {
		_, err := t.hostdir(t, node, args...)
		t.check(err)
	}

	// What keeps new volumes off.
	order("disks", "cordon", guarded.dir)
	tied("cordoned", class)
	t.why("cordoned", why.DiskCordoned)
	order("disks", "uncordon", guarded.dir)
	t.podRuns("cordoned")
	t.deletePod("cordoned")
	shell(again("mount -o remount,ro " + guarded.dir))
	tied("read-only", class)
	t.why("read-only", why.DiskReadOnly)
	shell("mount -o remount,rw " + guarded.dir)
	t.podRuns("read-only")
	t.deletePod("read-only")
	tied("unlimited", t.createClass(map[string]string{"pool": guarded.name, "quota": "required"}))
	t.why("unlimited", why.QuotaMissing) // its ext4 has no quotas
	t.deletePod("unlimited")

	// What is wrong with the volume alone.
	shell("mv " + volume + "/volume.json " + guarded.dir + "/aside && echo garbage > " + volume + "/volume.json")
	t.why("data", why.Quarantined)
	shell("mv " + guarded.dir + "/aside " + volume + "/volume.json")
	t.why("data", why.NothingWrong)
	shell("mv " + volume + "/data " + guarded.dir + "/aside")
	t.why("data", why.DataMissing)
	shell("mv " + guarded.dir + "/aside " + volume + "/data")
	t.why("data", why.NothingWrong)

	// What is wrong with the disk.
	t.Cleanup(func() { t.onNode(t, node, "sh", "-c", "fsfreeze --unfreeze "+guarded.dir+" 2>/dev/null || true") })
	shell("fsfreeze --freeze " + guarded.dir)
	tied("frozen", class)
	t.why("data", why.DiskUnresponsive)
	shell("fsfreeze --unfreeze " + guarded.dir)
	t.podRuns("frozen")
	t.deletePod("frozen")

	shell("cp -a " + guarded.dir + "/disk.json /mnt/ && echo garbage > " + guarded.dir + "/disk.json")
	t.why("data", why.DiskFaulty)
	shell("mv /mnt/disk.json " + guarded.dir)
	t.poolIs(guarded, node, "ready")

	d.unmount(t)
	t.why("data", why.DiskAbsent)

	// The other node's disk in its place, by an image of it.
	t.onNode(t, other, "sync", "-f", guarded.dir)
	exchanged := disk{t.cluster, node, "/mnt/exchanged-" + session}
	image, err := os.ReadFile(disk{t.cluster, other, guarded.dir}.file())
	t.check(err)
	t.check(os.WriteFile(exchanged.file(), image, 0o600))
	instead := func(image disk, want why.Name) {
		shell("mount -o loop " + image.image() + " " + guarded.dir)
		t.why("data", want)
		d.unmount(t)
		t.check(os.Remove(image.file()))
	}
	instead(exchanged, why.DiskExchanged)

	// A copy of it, on a filesystem of its own.
	copied := t.makeDisk(t, node, "/mnt/copied-"+session, 256*mebibyte, "mkfs.ext4", "-q", "-F")
	aside := func(script string) {
		shell("mkdir -p /mnt/aside && mount -o loop " + d.image() + " /mnt/aside && " + script + " && umount /mnt/aside && rmdir /mnt/aside")
	}
	aside("rmdir " + copied.dir + "/lost+found && cp -a /mnt/aside/. " + copied.dir)
	copied.unmount(t)
	instead(copied, why.DiskCopied)
	shell("rmdir " + copied.dir)

	// The mark of the other node's hostdir on it.
	owner := t.onNode(t, other, "cat", filepath.Join(guarded.dir, "owner.json"))
	aside("cp -a /mnt/aside/owner.json /mnt/ && echo '" + owner + "' > /mnt/aside/owner.json")
	d.mount(t)
	t.why("data", why.DiskOwned)
	d.unmount(t)
	aside("mv /mnt/owner.json /mnt/aside/")
	d.mount(t)
	t.poolIs(guarded, node, "ready")
	t.why("data", why.NothingWrong)
}

// whyNamesWhoIsDown takes hostdir-controller away.
func whyNamesWhoIsDown(t *test) {
	t.letDataGo()
	class := t.createClass(nil)
	t.createClaim(sized("grows", class, 16*mebibyte))
	kept := func(bytes int64) { t.createClaim(sized("kept", reuseClass, bytes)) }
	kept(16 * mebibyte)
	for _, name := range []string{"grows", "kept"} {
		t.createPod(newPod(name, name, ""))
		t.podRuns(name)
		t.deletePod(name)
	}
	await(t, "the claim is held for reuse", claims, t.in("kept"), one(func(c *corev1.PersistentVolumeClaim) error {
		if !slices.Contains(c.Finalizers, driver+"/reuse") {
			return fmt.Errorf("its finalizers are %q", c.Finalizers)
		}
		return nil
	}))
	up := t.withoutController()
	t.ask("grows", 32*mebibyte)
	t.why("grows", why.ResizerDown)
	run(t, "kubectl", "patch", "storageclass", class, "-p", `{"allowVolumeExpansion":false}`)
	t.why("grows", why.ResizeForbidden)
	run(t, "kubectl", "patch", "storageclass", class, "-p", `{"allowVolumeExpansion":true}`)
	t.kubectl("delete", "pvc", "kept", "--wait=false")
	t.why("kept", why.HeldForReuse)

	up()
	t.why("grows", why.ResizeNeedsPod)
	await(t, "the claim goes", claims, t.in("kept"), none)
	t.why("kept", why.Reserved)
	kept(32 * mebibyte)
	t.why("kept", why.WaitsForReserved)
}

// whyNamesWhatIsWrongWithANode takes from a node what hostdir needs there.
func whyNamesWhatIsWrongWithANode(t *test) {
	node, other := t.nodes[0], t.nodes[1]
	tied := func(name string) {
		p := newPod(name, name, "")
		p.Spec.NodeSelector = on(node)
		t.createPod(p)
	}
	t.createClaim(newClaim("data"))
	tied("data")
	t.podRuns("data")
	t.deletePod("data")

	run(t, "kubectl", "cordon", node)
	t.outside = append(t.outside, func() { run(t, "kubectl", "uncordon", node) })
	tied("data")
	t.why("data", why.NodeCordoned)
	run(t, "kubectl", "uncordon", node)
	t.podRuns("data")

	// Kubelet's registration. Once its socket is gone the plugin makes it anew.
	register := func() {
		t.check(os.Remove(filepath.Join(t.files[node], "var/lib/kubelet/plugins_registry", driver+"-reg.sock")))
	}
	run(t, "kubectl", "patch", "csinode", node, "--type=merge", "-p", `{"spec":{"drivers":[]}}`)
	t.why("data", why.DriverNotRegistered)
	register()
	t.why("data", why.NothingWrong)

	// The DaemonSet, which is put back as it was.
	sets := t.AppsV1().DaemonSets(home)
	original, err := sets.Get(context.Background(), "hostdir-node", metav1.GetOptions{})
	t.check(err)
	change := func(edit func(*appsv1.DaemonSetSpec)) {
		t.eventually("the DaemonSet is changed", func() error {
			now, err := sets.Get(context.Background(), "hostdir-node", metav1.GetOptions{})
			t.check(err)
			edit(&now.Spec)
			_, err = sets.Update(context.Background(), now, metav1.UpdateOptions{FieldManager: "helm"})
			return err
		})
	}
	restore := func() {
		change(func(s *appsv1.DaemonSetSpec) { *s = *original.Spec.DeepCopy() })
		await(t, "the plugin runs on both nodes", pods, plugins, func(all []*corev1.Pod) error {
			if len(all) != len(t.nodes) {
				return fmt.Errorf("there are %d pods", len(all))
			}
			for _, p := range all {
				if err := running(p); err != nil {
					return err
				}
			}
			return nil
		})
	}
	t.Cleanup(func() {
		t.explain()
		restore()
	})
	t.rooms("the room on each node is known", "hostdir", anyRoom)
	old := t.plugin(t, node).UID
	change(func(s *appsv1.DaemonSetSpec) {
		s.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
		for i := range s.Template.Spec.Containers {
			if c := &s.Template.Spec.Containers[i]; c.Name == "csi-provisioner" {
				c.Args = append(c.Args, "--no-such-flag")
			}
		}
	})
	t.check(t.CoreV1().Pods(home).Delete(context.Background(), t.plugin(t, node).Name, metav1.DeleteOptions{}))
	await(t, "a plugin without a provisioner is registered on the node", pods, plugins, func(all []*corev1.Pod) error {
		for _, p := range all {
			for _, c := range p.Status.ContainerStatuses {
				if p.Spec.NodeName == node && p.UID != old && c.Name == "hostdir" && c.Ready {
					return nil
				}
			}
		}
		return fmt.Errorf("there are %d pods", len(all))
	})
	t.createClaim(newClaim("new"))
	tied("new")
	t.why("new", why.ProvisionerDown)

	change(func(s *appsv1.DaemonSetSpec) {
		*s = *original.Spec.DeepCopy()
		s.Template.Spec.NodeSelector = on(other)
	})
	t.why("new", why.DriverNotOnNode)
	restore()
	t.podRuns("new")
	t.why("new", why.NothingWrong)
}
