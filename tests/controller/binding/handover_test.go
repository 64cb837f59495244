package binding

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const storageProvisioner = "volume.kubernetes.io/storage-provisioner"

// provisioners returns who was told to provision a claim, by both names of the
// annotation.
func (w *world) provisioners(c *corev1.PersistentVolumeClaim) [2]string {
	w.Helper()
	w.must(w.Get(context.Background(), client.ObjectKeyFromObject(c), c))
	return [2]string{c.Annotations[storageProvisioner], c.Annotations["volume.beta.kubernetes.io/storage-provisioner"]}
}

// TestHandOver is of claims that have a node, while kube-controller-manager is down.
func TestHandOver(t *testing.T) {
	w := start(t)
	immediate, policy := storagev1.VolumeBindingImmediate, corev1.PersistentVolumeReclaimDelete
	w.create(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "immediate"}, Provisioner: driver, VolumeBindingMode: &immediate, ReclaimPolicy: &policy})
	waiting := storagev1.VolumeBindingWaitForFirstConsumer
	w.create(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Provisioner: "other", VolumeBindingMode: &waiting, ReclaimPolicy: &policy})
	w.startLoop(nil)
	inClass := func(class string) func(*world, *corev1.PersistentVolumeClaim) {
		return func(_ *world, c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = &class }
	}
	for _, test := range []struct {
		name    string
		arrange func(*world, *corev1.PersistentVolumeClaim)
		want    [2]string
	}{
		{"a claim of ours", func(*world, *corev1.PersistentVolumeClaim) {}, [2]string{driver, driver}},
		{"without a node", func(_ *world, c *corev1.PersistentVolumeClaim) { c.Annotations = nil }, [2]string{}},
		{"another provisioner's class", inClass("other"), [2]string{}},
		{"a class that waits for no pod", inClass("immediate"), [2]string{}},
		{"a class that there is not", inClass("none"), [2]string{}},
		{"handed over to another one", func(_ *world, c *corev1.PersistentVolumeClaim) { c.Annotations[storageProvisioner] = "other" }, [2]string{"other", ""}},
		{"bound by a person", func(_ *world, c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "mine" }, [2]string{}},
		{"a volume is reserved for it", func(w *world, c *corev1.PersistentVolumeClaim) {
			v := volumeFor(c)
			v.Name, v.Spec.ClaimRef.UID = "reserved-"+c.Namespace, ""
			w.create(v)
			time.Sleep(200 * time.Millisecond) // until the loop has seen it
		}, [2]string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := w.begin(t)
			c := w.newClaim("c", func(c *corev1.PersistentVolumeClaim) { test.arrange(w, c) })
			if test.want[0] == driver {
				w.await(func() string {
					if got := w.provisioners(c); got != test.want {
						return fmt.Sprintf("handed over to %q", got)
					}
					return ""
				})
				return
			}
			time.Sleep(500 * time.Millisecond)
			if got := w.provisioners(c); got != test.want {
				t.Errorf("handed over to %q, want %q", got, test.want)
			}
		})
	}
}
