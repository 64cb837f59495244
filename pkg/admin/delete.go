package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/store"
)

// Deletion is the answer to POST /volumes/delete/plan, which changes nothing.
type Deletion struct {
	Volume
	// TrashTTL is how long the volume can be brought back.
	TrashTTL time.Duration `json:"trashTTLNanoseconds"`
	// Deleted are those in the trash, if no other volume is meant: there is nothing
	// to do any more.
	Deleted []DeletedVolume `json:"deleted,omitempty"`
}

// PlanDeletion asks what a deletion would do.
func (c *Client) PlanDeletion(ctx context.Context, ref string) (d Deletion, err error) {
	err = c.post(ctx, "/volumes/delete/plan", VolumeRef{ref}, &d)
	return d, err
}

// Delete moves the volume of this ID to the trash. The answer has no entry if it is
// purged already.
func (c *Client) Delete(ctx context.Context, id string) (v DeletedVolume, err error) {
	err = c.post(ctx, "/volumes/delete", VolumeRef{id}, &v)
	return v, err
}

func (s *Server) handleDeletion(mux *http.ServeMux) {
	mux.HandleFunc("POST /volumes/delete/plan", carryOut(s.planDeletion))
	mux.HandleFunc("POST /volumes/delete", carryOut(s.delete))
}

func (s *Server) planDeletion(ctx context.Context, order VolumeRef) (Deletion, error) {
	v, err := s.Store.FindVolume(order.Volume)
	if errors.Is(err, errdefs.ErrNotFound) {
		deleted, failed := s.deleted(ctx, order.Volume)
		if failed != nil || len(deleted) > 0 {
			return Deletion{Deleted: deleted}, failed
		}
	}
	if err != nil {
		return Deletion{}, err
	}
	err = s.Store.ReadData(ctx, v.ID, s.CheckUnused)
	if err != nil && !errors.Is(err, errdefs.ErrNotFound) { // what is gone is not mounted either
		return Deletion{}, err
	}
	return Deletion{Volume: volume(v), TrashTTL: v.TrashTTL}, nil
}

// deleted returns the deleted volumes of a name. The order that deleted them may
// have met a crash before it was synced.
func (s *Server) deleted(ctx context.Context, ref string) ([]DeletedVolume, error) {
	var all []DeletedVolume
	for _, d := range s.Store.FindDeleted(ref) {
		all = append(all, deletedVolume(d))
		if d.Record == nil {
			continue
		}
		if err := s.Store.SyncDeleted(ctx, d.Record.ID); err != nil {
			return nil, fmt.Errorf("%s: it is in the trash, but a power cut may undo that: %w", d.Path, err)
		}
	}
	return all, nil
}

// delete takes an ID alone: whatever else a person has called the volume may be
// another one's by now.
func (s *Server) delete(ctx context.Context, order VolumeRef) (DeletedVolume, error) {
	if _, err := store.ParseVolumeID(order.Volume); err != nil {
		return DeletedVolume{}, err
	}
	switch err := s.Store.Delete(ctx, order.Volume, s.CheckUnused); {
	case err == nil:
		klog.FromContext(ctx).Info("volume deleted, as an operator has asked", "volumeID", order.Volume)
	case !errors.Is(err, errdefs.ErrNotFound): // somebody else was faster
		return DeletedVolume{}, err
	}
	deleted := s.Store.FindDeleted(order.Volume)
	if len(deleted) == 0 {
		return DeletedVolume{ID: order.Volume}, nil
	}
	return deletedVolume(deleted[len(deleted)-1]), nil
}

// String is what a person is asked about.
func (d Deletion) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n  volume:    %s\n  made for:  ", oneLine(d.Path), d.ID)
	if d.Claim != nil {
		fmt.Fprintf(&text, "claim %s\n", d.Claim)
	} else {
		text.WriteString("a claim that is not known\n")
	}
	if d.Created != nil {
		fmt.Fprintf(&text, "  created:   %s\n", d.Created.UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(&text, "  size:      %s", config.FormatSize(d.CapacityBytes))
	if d.Used != nil {
		fmt.Fprintf(&text, ", %s used", config.FormatSize(d.Used.Bytes))
	}
	if d.TrashTTL > 0 {
		fmt.Fprintf(&text, "\nIt goes to the trash, and `hostdir undelete` brings it back for %s, or until the disk runs full.", d.TrashTTL)
	} else {
		text.WriteString("\nIts class and pool have no trashTTL: its files are removed at once, for good.")
	}
	text.WriteString("\nThis node cannot see whether Kubernetes still needs it: a PersistentVolume that names it points to nothing from then on, and pods of its claim do not start. Look first:")
	fmt.Fprintf(&text, "\n    kubectl get pv -o custom-columns=PV:.metadata.name,CLAIM:.spec.claimRef.name,HANDLE:.spec.csi.volumeHandle | grep %s", d.ID)
	return text.String()
}
