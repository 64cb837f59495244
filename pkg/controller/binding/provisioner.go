package binding

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Annotations of a claim that is to be provisioned.
const (
	// selectedNode is the scheduler's: it found no volume for the claim's pod, and
	// chose a node for a new one.
	selectedNode = "volume.kubernetes.io/selected-node"
	// storageProvisioner names who is to provision. kube-controller-manager writes it,
	// and the provisioner waits for it. Both names are written, as it does.
	storageProvisioner     = "volume.kubernetes.io/storage-provisioner"
	betaStorageProvisioner = "volume.beta.kubernetes.io/storage-provisioner"
)

// handOver hands claims over to hostdir's provisioner: the one write that the binder
// makes before there is a volume. It waits for its turn like all others of the binder,
// and thirty provisioners would be idle meanwhile.
type handOver struct {
	driver string
	cached client.Reader
	writer
}

// addHandOver adds it to the manager.
func addHandOver(m manager.Manager, w writer) error {
	h := &handOver{driver: w.driver, cached: m.GetCache(), writer: w}
	c, err := controller.New("hand-over", m, controller.Options{Reconciler: h, MaxConcurrentReconciles: workers})
	if err != nil {
		return err
	}
	// The classes are there when the first claim is looked at.
	if _, err := m.GetCache().GetInformer(context.Background(), &storagev1.StorageClass{}); err != nil {
		return err
	}
	waits := func(c *corev1.PersistentVolumeClaim, q queue) {
		if waitsForProvisioner(c) {
			q.AddAfter(request{NamespacedName: client.ObjectKeyFromObject(c)}, patience)
		}
	}
	return c.Watch(source.Kind(m.GetCache(), &corev1.PersistentVolumeClaim{}, handler.TypedFuncs[*corev1.PersistentVolumeClaim, request]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*corev1.PersistentVolumeClaim], q queue) {
			waits(e.Object, q)
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*corev1.PersistentVolumeClaim], q queue) {
			waits(e.ObjectNew, q)
		},
	}))
}

// waitsForProvisioner reports whether a claim has a node, no volume, and nobody who
// was told to make one.
func waitsForProvisioner(c *corev1.PersistentVolumeClaim) bool {
	_, told := c.Annotations[storageProvisioner]
	return c.Annotations[selectedNode] != "" && !told && c.Spec.VolumeName == "" && c.DeletionTimestamp == nil &&
		(c.Status.Phase == "" || c.Status.Phase == corev1.ClaimPending)
}

// Reconcile hands a claim over, if the binder would. It leaves a claim alone for which
// any volume is reserved: the binder may bind it to that.
func (h *handOver) Reconcile(ctx context.Context, r request) (reconcile.Result, error) {
	c := &corev1.PersistentVolumeClaim{}
	if err := h.cached.Get(ctx, r.NamespacedName, c); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !waitsForProvisioner(c) {
		return reconcile.Result{}, nil
	}
	class := &storagev1.StorageClass{}
	err := h.cached.Get(ctx, client.ObjectKey{Name: classOf(c.Annotations, deref(c.Spec.StorageClassName, ""))}, class)
	if err != nil || class.Provisioner != h.driver || deref(class.VolumeBindingMode, "") != storagev1.VolumeBindingWaitForFirstConsumer {
		if apierrors.IsNotFound(err) {
			err = nil // kube-controller-manager says so
		}
		return reconcile.Result{}, err
	}
	var reserved corev1.PersistentVolumeList
	if err := h.cached.List(ctx, &reserved, client.MatchingFields{claimIndex: r.String()}, client.UnsafeDisableDeepCopy); err != nil {
		return reconcile.Result{}, err
	}
	if len(reserved.Items) > 0 {
		return reconcile.Result{}, nil
	}
	began := time.Now()
	why, err := h.write(ctx, c, func() string {
		if !waitsForProvisioner(c) {
			return "somebody was faster"
		}
		return ""
	}, func() client.Patch {
		patch := client.MergeFromWithOptions(c.DeepCopy(), client.MergeFromWithOptimisticLock{})
		metav1.SetMetaDataAnnotation(&c.ObjectMeta, storageProvisioner, h.driver)
		metav1.SetMetaDataAnnotation(&c.ObjectMeta, betaStorageProvisioner, h.driver)
		return patch
	}, func(patch client.Patch) error { return h.client.Patch(ctx, c, patch) })
	if err == nil && why == "" {
		klog.FromContext(ctx).V(2).Info("claim handed over to the provisioner", "claim", klog.KObj(c), "took", time.Since(began))
	}
	return reconcile.Result{}, err
}
