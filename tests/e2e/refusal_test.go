//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func refusedClaimsSayWhy(t *test) {
	block := corev1.PersistentVolumeBlock
	class := t.createClass(map[string]string{"colour": "red"})
	tests := []struct {
		name string
		ask  func(*corev1.PersistentVolumeClaimSpec)
		want []string
	}{
		{"many-writers", func(s *corev1.PersistentVolumeClaimSpec) {
			s.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
		}, []string{"ReadWriteMany", "lives on one node", "use ReadWriteOnce or ReadWriteOncePod"}},
		{"many-readers", func(s *corev1.PersistentVolumeClaimSpec) {
			s.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
		}, []string{"ReadOnlyMany", "lives on one node", "use ReadWriteOnce or ReadWriteOncePod"}},
		{"block", func(s *corev1.PersistentVolumeClaimSpec) { s.VolumeMode = &block },
			[]string{"no block volumes (volumeMode: Block)", "only directories (volumeMode: Filesystem)"}},
		{"parameter", func(s *corev1.PersistentVolumeClaimSpec) { s.StorageClassName = &class },
			[]string{`unknown StorageClass parameter "colour"`, "known are pool, mode, uid, gid, quota, trashTTL, inodes, reuse, onNodeLoss, className and csi.storage.k8s.io/fstype"}},
	}
	for _, test := range tests {
		c := newClaim(test.name)
		test.ask(&c.Spec)
		t.createClaim(c)
		p := newPod(test.name, test.name, "")
		if c.Spec.VolumeMode != nil { // Kubernetes wants them in another field
			p.Spec.Containers[0].VolumeMounts = nil
			p.Spec.Containers[0].VolumeDevices = []corev1.VolumeDevice{{Name: "data", DevicePath: "/dev/data"}}
		}
		t.createPod(p)
	}
	for _, test := range tests {
		q := query{namespace: t.namespace, fields: "reason=ProvisioningFailed,involvedObject.name=" + test.name}
		// Others may come before: csi-provisioner loses a race for the claim, and tries again.
		await(t, "an event says why claim "+test.name+" is refused", events, q, func(all []*corev1.Event) error {
			var said []string
			for _, e := range all {
				if !slices.ContainsFunc(test.want, func(words string) bool { return !strings.Contains(e.Message, words) }) {
					t.Log(e.Message)
					return nil
				}
				said = append(said, e.Message)
			}
			return fmt.Errorf("events say %q, want one with %q", said, test.want)
		})
	}
}
