package nodeloss

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ledgerName is that of the Lease on which it is written what was given up. The volumes
// themselves go, so that they cannot say it. It is no Lease that anybody holds: the
// controller has the right to make Leases, and needs none to other objects of its
// namespace.
const ledgerName = "hostdir-node-loss"

// ledgerAnnotation on it has the ledger.
const ledgerAnnotation = "csi.hostdir.io/given-up-volumes"

// ledger is what was given up lately. An entry is written before the volume is touched,
// and against the version that was read: no two controllers together pass a brake.
type ledger struct {
	Entries map[types.UID]entry
	lease   *coordinationv1.Lease // nil if there is none yet
}

// entry is a volume, by the UID of its PersistentVolume.
type entry struct {
	At   time.Time `json:"at"`
	Node string    `json:"node"`
	// Set and Pod are the replica of a StatefulSet that starts anew.
	Namespace string    `json:"namespace,omitempty"`
	Set       types.UID `json:"set,omitempty"`
	Pod       string    `json:"pod,omitempty"`
}

// remembered is how long at most a replica is waited for that does not get Ready.
const remembered = 7 * 24 * time.Hour

// recent reports whether an entry counts for the volumes of an hour.
func (e entry) recent(now time.Time) bool { return now.Sub(e.At) < time.Hour }

// isOver reports whether the replica runs again. One that is not there may come yet, for
// an hour.
func (e entry) isOver(now time.Time, pods map[string][]corev1.Pod) bool {
	all, listed := pods[e.Namespace]
	if !listed {
		return false
	}
	for i := range all {
		if owner := metav1.GetControllerOf(&all[i]); all[i].Name == e.Pod && owner != nil && owner.UID == e.Set {
			return isReady(&all[i])
		}
	}
	return !e.recent(now)
}

func (l *nodeloss) readLedger(ctx context.Context) (*ledger, error) {
	read := &ledger{Entries: map[types.UID]entry{}}
	lease := &coordinationv1.Lease{}
	err := l.live.Get(ctx, types.NamespacedName{Namespace: l.namespace, Name: ledgerName}, lease)
	if apierrors.IsNotFound(err) {
		return read, nil
	}
	if err != nil {
		return nil, err
	}
	read.lease = lease
	if text := lease.Annotations[ledgerAnnotation]; text != "" {
		if err := json.Unmarshal([]byte(text), &read.Entries); err != nil {
			return nil, fmt.Errorf("what was given up is not known, and nothing more is: annotation %s of Lease %s/%s cannot be read: %w; delete the Lease if that is no accident", ledgerAnnotation, l.namespace, ledgerName, err)
		}
	}
	return read, nil
}

// enter writes a volume into the ledger.
func (l *nodeloss) enter(ctx context.Context, w *world, uid types.UID, e entry) error {
	entries := map[types.UID]entry{uid: e}
	for uid, old := range w.ledger.Entries {
		if old.recent(w.now) || old.Set != "" && w.now.Sub(old.At) < remembered && !old.isOver(w.now, w.pods) {
			entries[uid] = old
		}
	}
	text, err := json.Marshal(entries)
	if err != nil {
		return err
	}
	lease := w.ledger.lease
	if lease == nil {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Namespace: l.namespace, Name: ledgerName, Annotations: map[string]string{ledgerAnnotation: string(text)},
		}}
		err = l.cached.Create(ctx, lease)
		if apierrors.IsAlreadyExists(err) {
			err = apierrors.NewConflict(coordinationv1.Resource("leases"), ledgerName, err)
		}
	} else {
		lease = lease.DeepCopy()
		if lease.Annotations == nil {
			lease.Annotations = map[string]string{}
		}
		lease.Annotations[ledgerAnnotation] = string(text)
		err = l.cached.Update(ctx, lease)
	}
	if err != nil {
		return err
	}
	w.ledger = &ledger{Entries: entries, lease: lease}
	return nil
}
