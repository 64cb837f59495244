//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/hostdir/hostdir/pkg/cli"
)

// oldDirs is where the hand-written volumes of a node lie.
var oldDirs = "/srv/old-" + session

// An oldSet is a StatefulSet "web" with a replica for each node, whose claims are bound to
// volumes of a class that is not hostdir's.
type oldSet struct {
	*test
	class string
	set   *appsv1.StatefulSet
}

func (t *test) oldSet(class, script string) *oldSet {
	s := &oldSet{test: t, class: class, set: newStatefulSet("web", int32(len(t.nodes)), script)}
	s.set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	s.set.Spec.VolumeClaimTemplates[0].Spec.StorageClassName = &s.class
	return s
}

func (s *oldSet) claim(i int) string { return fmt.Sprintf("data-web-%d", i) }
func (s *oldSet) pod(i int) string   { return fmt.Sprintf("web-%d", i) }

// handWritten is one on hand-written volumes, as people had them: a hostPath
// PersistentVolume for each replica, reserved for the claim that is to come, on one node,
// in a class that does not exist.
type handWritten struct{ *oldSet }

func (t *test) handWritten() *handWritten {
	t.Helper()
	h := &handWritten{t.oldSet(t.namespace+"-old", signed)}
	for i, node := range t.nodes {
		t.onNode(t, node, "mkdir", "-p", h.dir(i))
		t.outside = append(t.outside, func() { t.onNode(t, node, "rm", "-rf", h.dir(i)) })
		_, err := t.CoreV1().PersistentVolumes().Create(context.Background(), h.volume(i, node), metav1.CreateOptions{})
		t.check(err)
	}
	t.createStatefulSet(h.set)
	return h
}

func (h *handWritten) pv(i int) string  { return fmt.Sprintf("%s-%d", h.namespace, i) }
func (h *handWritten) dir(i int) string { return fmt.Sprintf("%s/%s-%d", oldDirs, h.namespace, i) }

func (h *handWritten) volume(i int, node string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: h.pv(i)},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("16Mi")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			StorageClassName:              h.class,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: h.dir(i)}},
			ClaimRef:                      &corev1.ObjectReference{Namespace: h.namespace, Name: h.claim(i)},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		},
	}
}

// run waits until all replicas run, and returns what each has written.
func (s *oldSet) run() map[string]string {
	s.Helper()
	s.scale("web", int32(len(s.nodes)))
	ids := map[string]string{}
	for i := range s.nodes {
		s.podRuns(s.pod(i))
		ids[s.pod(i)] = s.exec(s.pod(i), "cat", "/data/id", "/data/link")
	}
	return ids
}

// fill gives each replica some of everything, and returns what each has.
func (s *oldSet) fill() map[string]string {
	s.Helper()
	for i := range s.nodes {
		s.podRuns(s.pod(i))
		s.exec(s.pod(i), "sh", "-c", "mkdir /data/deep; echo deep > /data/deep/file; ln /data/deep/file /data/link; chown -R 1001:1002 /data/deep; truncate -s 4M /data/sparse")
	}
	return s.run()
}

// stop waits until no replica is left.
func (s *oldSet) stop() {
	s.Helper()
	s.scale("web", 0)
	for i := range s.nodes {
		await(s.test, "the replica is gone", pods, s.in(s.pod(i)), none)
	}
}

// command runs `kubectl hostdir import` on the StatefulSet. It returns all that the
// command says, and its exit status.
func (s *oldSet) command(args ...string) (said string, status int) {
	s.Helper()
	var out bytes.Buffer
	args = append([]string{"import", "statefulset/web", "--namespace", s.namespace}, args...)
	status = cli.Run(context.Background(), "dev", genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &out}, args)
	return out.String(), status
}

func (s *oldSet) mustCommand(args ...string) {
	s.Helper()
	if said, status := s.command(args...); status != cli.OK {
		s.Fatalf("kubectl hostdir import %q ends with %d:\n%s", args, status, said)
	}
}

// same holds that the replicas have what they had.
func (s *oldSet) same(when string, before map[string]string) {
	s.Helper()
	if after := s.run(); fmt.Sprint(after) != fmt.Sprint(before) {
		s.Errorf("%s the replicas have %q, before they had %q", when, after, before)
	}
}

// handWrittenVolumesMove imports by a rename, where the disk's own filesystem has the
// directories.
func handWrittenVolumesMove(t *test) {
	t.bringAlong("")
}

// handWrittenVolumesAreCopied imports into volumes whose sizes are enforced.
func handWrittenVolumesAreCopied(t *test) {
	t.bringAlong("limited")
}

// bringAlong imports hand-written volumes, brings them back, and imports them for good.
func (t *test) bringAlong(pool string) {
	h := t.handWritten()
	before := h.fill()
	uids := map[string]string{}
	for i := range t.nodes {
		claim, err := t.CoreV1().PersistentVolumeClaims(t.namespace).Get(context.Background(), h.claim(i), metav1.GetOptions{})
		t.check(err)
		uids[h.claim(i)] = string(claim.UID)
	}
	to := []string{"--yes"}
	if pool != "" {
		to = append(to, "--pool="+pool)
	}

	if said, status := h.command(to...); status != cli.Wrong || !strings.Contains(said, "scale its StatefulSet") {
		t.Errorf("imported while pods use it, the status is %d:\n%s", status, said)
	}
	h.stop()
	h.mustCommand(to...)
	for i, node := range t.nodes {
		pv := t.volumeOf(h.claim(i))
		if pv.Name != h.pv(i) || pv.Spec.CSI == nil || t.nodeOf(pv) != node || string(pv.Spec.ClaimRef.UID) != uids[h.claim(i)] {
			t.Errorf("claim %s is bound to %+v", h.claim(i), pv.Spec)
		}
		if owner := t.onNode(t, node, "sh", "-c", "ls -d "+h.dir(i)+" 2>/dev/null || true"); pool == "" && owner != "" {
			t.Errorf("what was moved is still at %s", owner)
		}
	}
	h.same("imported,", before)
	t.exec(h.pod(0), "sh", "-c", "[ $(stat -c %h:%u:%g /data/link) = 2:1001:1002 ]")
	h.grows()

	h.stop()
	h.mustCommand("--undo", "--yes")
	for i := range t.nodes {
		if pv := t.volumeOf(h.claim(i)); pv.Spec.HostPath == nil || pv.Spec.HostPath.Path != h.dir(i) {
			t.Errorf("undone, claim %s is bound to %+v", h.claim(i), pv.Spec)
		}
	}
	h.same("undone,", before)

	h.stop()
	h.mustCommand(to...)
	h.mustCommand("--finish", "--yes")
	for i, node := range t.nodes {
		if left := t.onNode(t, node, "sh", "-c", "ls -d "+h.dir(i)+" 2>/dev/null || true"); left != "" {
			t.Errorf("finished, and %s is still there", left)
		}
	}
	h.same("finished,", before)
	checkFindsNothing(t)
	h.goes()
	t.emptyTrash() // an undone copy stays there for a day
}

// goes deletes the set, its claims and their volumes.
func (h *handWritten) goes() {
	h.Helper()
	h.stop()
	h.kubectl("delete", "statefulset/web")
	for i := range h.nodes {
		h.reclaim(h.pv(i), corev1.PersistentVolumeReclaimDelete)
		h.deleteClaim(h.claim(i))
		await(h.test, "the volume is gone", volumes, named(h.pv(i)), none)
	}
}

// grows lets a claim grow, once Kubernetes has a class of its name that says it may.
func (h *handWritten) grows() {
	mode, expand := storagev1.VolumeBindingWaitForFirstConsumer, true
	_, err := h.StorageV1().StorageClasses().Create(context.Background(), &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: h.class}, Provisioner: driver, VolumeBindingMode: &mode, AllowVolumeExpansion: &expand,
	}, metav1.CreateOptions{})
	h.check(err)
	defer func() {
		h.check(h.StorageV1().StorageClasses().Delete(context.Background(), h.class, metav1.DeleteOptions{}))
	}()
	h.growsTo(32 * mebibyte)
}

// growsTo has the first claim ask for more, and waits until it has it.
func (s *oldSet) growsTo(bytes int64) {
	s.Helper()
	// The API server hears of a class from itself, a moment later.
	s.eventually("the claim may ask for more", func() error {
		_, err := s.CoreV1().PersistentVolumeClaims(s.namespace).Patch(context.Background(), s.claim(0), types.MergePatchType, []byte(request(bytes)), metav1.PatchOptions{})
		return err
	})
	await(s.test, "the claim has grown", claims, s.in(s.claim(0)), hasSize(bytes))
}
