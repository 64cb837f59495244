package cli

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// importing is the annotation of a claim while its volume is imported, or the import
// undone: it says to people, and to `why`, what the claim waits for.
const importing = "csi.hostdir.io/importing"

// mark sets the annotation, or takes it off with "".
func (im *importer) mark(ctx context.Context, claim *corev1.PersistentVolumeClaim, what string) error {
	var value any // null takes it off
	if what != "" {
		value = what
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{importing: value}}})
	if err != nil {
		return err
	}
	_, err = im.clients.CoreV1().PersistentVolumeClaims(claim.Namespace).Patch(ctx, claim.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return nil // it may be made anew later
	}
	return err
}
