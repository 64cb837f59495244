package misplaced

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hostdir/hostdir/tests/apiserver"
)

func TestMisplaced(t *testing.T) {
	w := start(t)
	t.Run("killed", func(t *testing.T) {
		apiserver.AtEachWrite(t, func(t *testing.T, crash *apiserver.Crash) {
			w := w.begin(t)
			w.bound()
			defer w.startLoop(crash)()
			w.create(newPod(w.namespace, "db-0"))
			w.wantGone("db-0")
		})
	})
	w.startLoop(nil)
	for _, scenario := range []struct {
		name string
		test func(*world)
	}{
		{"told", told},
		{"bound later", boundLater},
		{"template with a node", templateWithNode},
		{"left alone", leftAlone},
		{"a StatefulSet", statefulSet},
	} {
		t.Run(scenario.name, func(t *testing.T) { scenario.test(w.begin(t)) })
	}
}

func (w *world) wantGone(pod string) {
	w.Helper()
	w.eventually("pod "+pod+" is gone", func() error {
		if err := w.get(pod, &corev1.Pod{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there (%v)", err)
		}
		return nil
	})
}

func told(w *world) {
	w.bound()
	w.create(newPod(w.namespace, "db-0"))
	w.wantGone("db-0")
	want := "Normal MisplacedPodEvicted of db-0: the pod was placed on node node-b while its claim data was being bound, and cannot start there: the volume is on node node-a. It is made anew"
	w.eventually("it is told", func() error {
		if all := w.events(); !slices.Equal(all, []string{want}) {
			return fmt.Errorf("events are %q", all)
		}
		return nil
	})
}

// boundLater has a pod that is there before its claim.
func boundLater(w *world) {
	w.create(newPod(w.namespace, "db-0"))
	time.Sleep(time.Second)
	w.bound()
	w.wantGone("db-0")
}

// templateWithNode makes the pod again where it was.
func templateWithNode(w *world) {
	w.bound()
	w.create(newPod(w.namespace, "db-0"))
	w.wantGone("db-0")
	w.create(newPod(w.namespace, "db-0"))
	w.wantStays("db-0")
}

// wantStays waits for as long as it takes to evict some other pod that came later.
func (w *world) wantStays(pods ...string) {
	w.Helper()
	other := w.begin(w.T)
	other.bound()
	other.create(newPod(other.namespace, "other"))
	other.wantGone("other")
	time.Sleep(time.Second)
	for _, pod := range pods {
		p := &corev1.Pod{}
		if err := w.get(pod, p); err != nil || p.DeletionTimestamp != nil {
			w.Errorf("pod %s was to stay: %v, %v", pod, err, p.DeletionTimestamp)
		}
	}
}

func leftAlone(w *world) {
	w.bound()
	owner := func(version, kind string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.OwnerReferences[0].APIVersion, p.OwnerReferences[0].Kind = version, kind
		}
	}
	w.reserve("foreign", "node-a", func(v *corev1.PersistentVolume) { v.Spec.CSI.Driver = "another.driver" })
	w.create(newClaim(w.namespace, "foreign"))
	w.must(client.IgnoreAlreadyExists(w.Create(context.Background(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "unlabelled"}})))
	status := func(p *corev1.Pod, s corev1.PodStatus) {
		p.Status = s
		w.must(w.Status().Update(context.Background(), p))
	}
	var all []string
	for name, change := range map[string]func(*corev1.Pod){
		"of-nobody":          func(p *corev1.Pod) { p.OwnerReferences = nil },
		"of-a-daemonset":     owner("apps/v1", "DaemonSet"),
		"of-a-job":           owner("batch/v1", "Job"),
		"of-another-group":   owner("example.com/v1", "StatefulSet"),
		"not-controlled":     func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil },
		"at-its-volume":      func(p *corev1.Pod) { p.Spec.NodeName = "node-a" },
		"on-no-node-of-ours": func(p *corev1.Pod) { p.Spec.NodeName = "unlabelled" },
		"without-a-node":     func(p *corev1.Pod) { p.Spec.NodeName = ""; p.Spec.NodeSelector = map[string]string{"no": "node"} },
		"of-another-driver":  func(p *corev1.Pod) { p.Spec = podSpec("foreign"); p.Spec.NodeName = "node-b" },
		"without-claims":     func(p *corev1.Pod) { p.Spec.Volumes = nil },
	} {
		w.create(newPod(w.namespace, name, change))
		all = append(all, name)
	}
	running := []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}}}
	crashed := []corev1.ContainerStatus{{Name: "main", RestartCount: 1, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
	for name, s := range map[string]corev1.PodStatus{
		"running":          {Phase: corev1.PodRunning, ContainerStatuses: running},
		"a-container-runs": {Phase: corev1.PodPending, ContainerStatuses: running},
		"initializing":     {Phase: corev1.PodPending, InitContainerStatuses: running},
		"restarts":         {Phase: corev1.PodPending, ContainerStatuses: crashed},
	} {
		// It has started before the loop sees it: it gets its node after that.
		p := newPod(w.namespace, name, func(p *corev1.Pod) { p.Spec.NodeName = ""; p.Spec.SchedulerName = "the-test" })
		w.create(p)
		status(p, s)
		w.must(w.SubResource("binding").Create(context.Background(), p, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, Target: corev1.ObjectReference{Kind: "Node", Name: "node-b"}}))
		all = append(all, name)
	}
	w.wantStays(all...)
	if told := w.events(); len(told) > 0 {
		w.Errorf("events: %q", told)
	}
}

// statefulSet has the scheduler place many pods while their claims are being
// bound to volumes that were there before. Each comes to its volume, evicted or not.
func statefulSet(w *world) {
	const replicas = 30
	var each int32 = replicas
	for i := range replicas {
		w.reserve(fmt.Sprintf("data-db-%d", i), nodes[i%2])
	}
	labels := map[string]string{"set": "db"}
	template := newClaim("", "data")
	spec := podSpec("")
	spec.Volumes = nil
	spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	w.create(&appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "db"},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &each, ServiceName: "db", PodManagementPolicy: appsv1.ParallelPodManagement,
			Selector:             &metav1.LabelSelector{MatchLabels: labels},
			Template:             corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{*template},
		},
	})
	uids := map[string]map[types.UID]bool{}
	w.eventually("all pods are at their volumes", func() error {
		var pods corev1.PodList
		w.must(w.List(context.Background(), &pods, client.InNamespace(w.namespace)))
		right := 0
		for i := range replicas {
			for _, p := range pods.Items {
				if p.Name != fmt.Sprintf("db-%d", i) {
					continue
				}
				if uids[p.Name] == nil {
					uids[p.Name] = map[types.UID]bool{}
				}
				uids[p.Name][p.UID] = true
				if p.Spec.NodeName == nodes[i%2] && p.DeletionTimestamp == nil {
					right++
				}
			}
		}
		if right < replicas {
			return fmt.Errorf("%d of %d are", right, replicas)
		}
		return nil
	})
	w.Logf("%d pods were evicted", len(w.events()))
}
