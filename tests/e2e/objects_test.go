//go:build e2e

package e2e

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// newClaim is a small claim of class hostdir.
func newClaim(name string) *corev1.PersistentVolumeClaim {
	class := "hostdir"
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: &class,
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("16Mi")},
			},
		},
	}
}

// newPod is a pod that runs a script and then stays, with a claim at /data.
func newPod(name, claim, script string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: podSpec(script)}
	p.Spec.RestartPolicy = corev1.RestartPolicyNever
	p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
	}}}
	return p
}

// newStatefulSet is a StatefulSet whose replicas run a script and then stay,
// each with a claim at /data.
func newStatefulSet(name string, replicas int32, script string) *appsv1.StatefulSet {
	labels := map[string]string{"set": name}
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.StatefulSetSpec{
			Replicas:             &replicas,
			Selector:             &metav1.LabelSelector{MatchLabels: labels},
			Template:             corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec(script)},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{*newClaim("data")},
		},
	}
}

// podSpec runs a script and stays until it is told to end: a shell as process 1
// ignores SIGTERM unless it traps it.
func podSpec(script string) corev1.PodSpec {
	seconds := int64(2)
	links := false
	return corev1.PodSpec{
		TerminationGracePeriodSeconds: &seconds,
		EnableServiceLinks:            &links,
		Containers: []corev1.Container{{
			Name:         "main",
			Image:        "docker.io/library/busybox:1.35",
			Command:      []string{"sh", "-c", "set -e; trap exit TERM\n" + script + "\nsleep infinity & wait"},
			Env:          []corev1.EnvVar{{Name: "POD", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}},
			VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
		}},
	}
}

// apart puts pods with the same labels on different nodes.
func apart(labels map[string]string) *corev1.Affinity {
	return &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey:   corev1.LabelHostname,
			LabelSelector: &metav1.LabelSelector{MatchLabels: labels},
		}},
	}}
}

// on ties a pod to a node the way people do.
func on(node string) map[string]string {
	return map[string]string{corev1.LabelHostname: node}
}

func (t *test) createClaim(c *corev1.PersistentVolumeClaim) {
	t.Helper()
	_, err := t.CoreV1().PersistentVolumeClaims(t.namespace).Create(context.Background(), c, metav1.CreateOptions{})
	t.check(err)
}

func (t *test) createPod(p *corev1.Pod) {
	t.Helper()
	_, err := t.CoreV1().Pods(t.namespace).Create(context.Background(), p, metav1.CreateOptions{})
	t.check(err)
}

func (t *test) createStatefulSet(s *appsv1.StatefulSet) {
	t.Helper()
	_, err := t.AppsV1().StatefulSets(t.namespace).Create(context.Background(), s, metav1.CreateOptions{})
	t.check(err)
}

// createClass makes a class of the test's own, whose claims can grow, and returns
// its name.
func (t *test) createClass(parameters map[string]string) string {
	t.Helper()
	mode, expand := storagev1.VolumeBindingWaitForFirstConsumer, true
	class, err := t.StorageV1().StorageClasses().Create(context.Background(), &storagev1.StorageClass{
		ObjectMeta:           metav1.ObjectMeta{GenerateName: t.namespace + "-"},
		Provisioner:          driver,
		Parameters:           parameters,
		VolumeBindingMode:    &mode,
		AllowVolumeExpansion: &expand,
	}, metav1.CreateOptions{})
	t.check(err)
	t.outside = append(t.outside, func() {
		t.check(t.StorageV1().StorageClasses().Delete(context.Background(), class.Name, metav1.DeleteOptions{}))
	})
	return class.Name
}

func (t *test) check(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
