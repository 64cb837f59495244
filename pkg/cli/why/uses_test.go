package why

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestUses(t *testing.T) {
	named := corev1.Volume{Name: "a", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}
	ephemeral := corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}
	for _, test := range []struct {
		name   string
		volume corev1.Volume
		phase  corev1.PodPhase
		claim  string
		want   bool
	}{
		{"it runs with the claim", named, corev1.PodRunning, "data", true},
		{"it waits for the claim", named, corev1.PodPending, "data", true},
		{"it has ended", named, corev1.PodSucceeded, "data", false},
		{"it has failed", named, corev1.PodFailed, "data", false},
		{"another claim", named, corev1.PodRunning, "other", false},
		{"a generic ephemeral volume", ephemeral, corev1.PodRunning, "web-scratch", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.PodSpec{Volumes: []corev1.Volume{test.volume}}, Status: corev1.PodStatus{Phase: test.phase}}
			if got := Uses(p, test.claim); got != test.want {
				t.Errorf("uses %s: %t, want %t", test.claim, got, test.want)
			}
		})
	}
}
