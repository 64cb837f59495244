package admin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
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
