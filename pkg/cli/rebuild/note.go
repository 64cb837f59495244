package rebuild

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// noteLabel is on the ConfigMaps in hostdir's namespace that are notes.
const noteLabel = "csi.hostdir.io/rebuild"

// Note is the PersistentVolume that takes another one's place, written down before that
// is deleted: between the two the cluster has neither, and whoever was killed there
// finds it again.
type Note struct {
	PersistentVolume corev1.PersistentVolume `json:"persistentVolume"`
	// Old is the UID of the one that goes.
	Old types.UID `json:"old"`
}

func noteName(volumeID string) string {
	return fmt.Sprintf("hostdir-rebuild-%.16x", sha256.Sum256([]byte(volumeID)))
}

func (s Source) notes(ctx context.Context) (all []Note, err error) {
	maps, err := s.Clients.CoreV1().ConfigMaps(s.System).List(ctx, metav1.ListOptions{LabelSelector: noteLabel})
	if err != nil {
		return nil, err
	}
	for _, m := range maps.Items {
		var n Note
		if err := json.Unmarshal([]byte(m.Data["note"]), &n); err != nil || n.PersistentVolume.Spec.CSI == nil {
			return nil, fmt.Errorf("ConfigMap %s/%s is no note of an exchange (%v): delete it once the PersistentVolume that it was for is there", m.Namespace, m.Name, err)
		}
		all = append(all, n)
	}
	return all, nil
}

// write writes the note, or writes it anew.
func (s Source) write(ctx context.Context, n Note) error {
	text, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	m := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.System, Name: noteName(n.PersistentVolume.Spec.CSI.VolumeHandle), Labels: map[string]string{noteLabel: ""}},
		Data:       map[string]string{"note": string(text)},
	}
	_, err = s.Clients.CoreV1().ConfigMaps(s.System).Create(ctx, m, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = s.Clients.CoreV1().ConfigMaps(s.System).Update(ctx, m, metav1.UpdateOptions{})
	}
	return err
}

func (s Source) dropNote(ctx context.Context, volumeID string) error {
	err := s.Clients.CoreV1().ConfigMaps(s.System).Delete(ctx, noteName(volumeID), metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
