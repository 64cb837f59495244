package admin

import (
	"context"
	"encoding/json"
)

// ImportOrder is the body of POST /import/plan, which changes nothing, and POST /import:
// a directory that others have made is to become a volume.
type ImportOrder struct {
	// Volume is its name: pvc-<UID of the claim>.
	Volume string `json:"volume"`
	// Source is the absolute path of the directory on the node.
	Source        string `json:"source"`
	CapacityBytes int64  `json:"capacityBytes"`
	// Parameters are those of a StorageClass. Without a pool the directory goes to a disk
	// on its own filesystem, if there is one.
	Parameters   map[string]string `json:"parameters,omitempty"`
	MountOptions []string          `json:"mountOptions,omitempty"`
	Claim        Claim             `json:"claim"`
	// PersistentVolume is the name, which stays the same, Old the whole object as it is.
	PersistentVolume string          `json:"persistentVolume"`
	Old              json.RawMessage `json:"old,omitempty"`
}

// ImportState is how far an import is.
type ImportState string

const (
	// ImportPlanned: nothing is done yet.
	ImportPlanned ImportState = "planned"
	// ImportUnderWay: it is begun, and not a volume yet; the same order goes on.
	ImportUnderWay ImportState = "under way"
	// ImportReady: it is a volume, and can be undone.
	ImportReady ImportState = "imported"
	// ImportFinishing: the old directory of a copy is being removed.
	ImportFinishing ImportState = "finishing"
	// ImportFinished: it is a volume like any other.
	ImportFinished ImportState = "finished"
	// ImportUndone: all is as it was before.
	ImportUndone ImportState = "undone"
)

// ImportCopy is the method of an import whose directory cannot be moved to the disk: the
// old one stays until the import is finished.
const ImportCopy = "copy"

// Import is how far an import is, and what the PersistentVolume must say once it is a
// volume.
type Import struct {
	Adoptable
	Volume string `json:"volume"`
	Pool   string `json:"pool"`
	// Disk is the path of the disk, Source of what is imported.
	Disk   string `json:"disk"`
	Source string `json:"source"`
	// Method is rename or copy.
	Method string      `json:"method"`
	State  ImportState `json:"state"`
	// Files and Bytes are what the source held. Sockets are not copied.
	Files   int64 `json:"files"`
	Bytes   int64 `json:"bytes"`
	Sockets int64 `json:"sockets,omitempty"`
	// Quota is how the capacity is enforced.
	Quota QuotaKind `json:"quota"`
	// Old is the PersistentVolume as it was before.
	Old json.RawMessage `json:"old,omitempty"`
	// Order is import, undo or finish if one is at work, and Progress how it comes along.
	Order    string    `json:"order,omitempty"`
	Progress *Progress `json:"progress,omitempty"`
	// Trouble is why no more is known of it.
	Trouble string `json:"trouble,omitempty"`
}

// Progress is how an order, or a copy, comes along.
type Progress struct {
	// Phase is measuring, copying, comparing, labelling or removing.
	Phase string `json:"phase"`
	Files int64  `json:"files"`
	Bytes int64  `json:"bytes"`
	// TotalFiles and TotalBytes are 0 if they are not known.
	TotalFiles int64 `json:"totalFiles,omitempty"`
	TotalBytes int64 `json:"totalBytes,omitempty"`
}

// Imports is the answer to GET /imports: those that were begun and are not finished.
type Imports struct {
	Imports []Import `json:"imports"`
}

// Imports asks for the imports that were begun and are not finished.
func (c *Client) Imports(ctx context.Context) (i Imports, err error) {
	err = c.get(ctx, "/imports", &i)
	return i, err
}

// PlanImport asks what an import would do. The files of the directory are counted.
func (c *Client) PlanImport(ctx context.Context, order ImportOrder) (i Import, err error) {
	err = c.post(ctx, "/import/plan", order, &i)
	return i, err
}

// Import has a directory become a volume. The answer comes within seconds: while an
// order is at work, the same order asks how it comes along.
func (c *Client) Import(ctx context.Context, order ImportOrder) (i Import, err error) {
	err = c.post(ctx, "/import", order, &i)
	return i, err
}

// ImportUndo is the body of POST /import/undo.
type ImportUndo struct {
	Volume string `json:"volume"`
	// Keep does only what the old PersistentVolume needs to be right again; what is known
	// of that stays until the same is asked without.
	Keep bool `json:"keep,omitempty"`
}

// UndoImport has a volume become the directory again that it was. It is given again as
// Import is.
func (c *Client) UndoImport(ctx context.Context, order ImportUndo) (i Import, err error) {
	err = c.post(ctx, "/import/undo", order, &i)
	return i, err
}

// FinishImport lets go of what a volume of this name was. It is given again as Import
// is.
func (c *Client) FinishImport(ctx context.Context, volume string) (i Import, err error) {
	err = c.post(ctx, "/import/finish", VolumeRef{volume}, &i)
	return i, err
}
