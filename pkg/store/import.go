package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/tree"
)

// ImportRequest asks that a directory becomes a volume.
type ImportRequest struct {
	// Name is the volume's, plain enough for a directory: pvc-<UID of the claim>.
	Name string
	// Source is the absolute path of the directory.
	Source        string
	CapacityBytes int64
	// Class is as of a new volume; the directory keeps its owner and mode. Without a
	// Pool it goes to a disk on the source's filesystem, if there is one.
	Class        config.Class
	MountOptions []string
	Claim        Claim
	// PersistentVolume is the name, which stays the same, Old the whole object as it was.
	PersistentVolume string
	Old              json.RawMessage
}

// maxOld bounds the PersistentVolume in import.json: see dir.ReadFile.
const maxOld = 32 << 10

// Import says of a directory that becomes a volume, or has become one, how far it is.
type Import struct {
	// Record is the volume's: of one that is only begun it may not be complete.
	Record
	// Path is the data's, once it is a volume. Disk is the path of the disk.
	Path, Disk string
	Method     ImportMethod
	// Source is the directory that it was.
	Source string
	State  ImportState
	// Size is what the source held.
	Size tree.Size
	// Enforced is how the capacity is, or will be.
	Enforced quota.Kind
	// Old is the PersistentVolume as it was before.
	Old json.RawMessage
	// Order is the one at work on it, "" if none is, and Progress how that comes along,
	// nil if it is not known.
	Order    string
	Progress *Progress
	// Trouble is why no more is known of it, nil if all is.
	Trouble error
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

// check returns ErrInvalid for what no retry can mend.
func (r ImportRequest) check() error {
	name, err := directoryName(r.Name)
	switch {
	case err != nil:
		return err
	case name != r.Name:
		return fmt.Errorf("%w: a volume that is imported is called pvc-<UID of its claim>, not %q", errdefs.ErrInvalid, r.Name)
	case r.CapacityBytes < MinCapacity || r.CapacityBytes > maxCapacity:
		return fmt.Errorf("%w: no volume has a capacity of %d bytes: at least %s", errdefs.ErrInvalid, r.CapacityBytes, config.FormatSize(MinCapacity))
	case !r.Claim.isPlain():
		return fmt.Errorf("%w: %q in namespace %q is not a claim's name", errdefs.ErrInvalid, r.Claim.Name, r.Claim.Namespace)
	case len(r.Old) > maxOld:
		return fmt.Errorf("%w: the PersistentVolume has %d bytes, at most %d can be kept: take away annotations that it does not need", errdefs.ErrInvalid, len(r.Old), maxOld)
	case len(r.Old) > 0 && !json.Valid(r.Old):
		return fmt.Errorf("%w: the old PersistentVolume is no JSON", errdefs.ErrInvalid)
	}
	return nil
}

// record is that of the volume on a disk, without its quota.
func (r ImportRequest) record(node string, d *diskState) Record {
	made := Record{
		Version: recordVersion, ID: d.volumeID(r.Name).String(), Name: r.Name, CapacityBytes: r.CapacityBytes, Class: r.Class, MountOptions: r.MountOptions,
		Node: node, Claim: r.Claim, PersistentVolume: r.PersistentVolume, Created: time.Now().UTC(), Imported: r.Source,
	}
	made.Class.Pool = d.poolNow().Name
	return made
}

// PlanImport says what an import would do, or how far it is, and changes nothing. Its
// error is why it would be refused. mayUse refuses a source that is mounted anywhere.
func (s *Store) PlanImport(ctx context.Context, req ImportRequest, mayUse func(*os.File) error) (Import, error) {
	if err := req.check(); err != nil {
		return Import{}, err
	}
	d, i, err := s.findImport(ctx, req)
	if err != nil {
		return Import{}, fmt.Errorf("import of %s: %w", req.Source, err)
	}
	if i.stage != importNone {
		return s.describeImport(d, req.Name, i), nil
	}
	p, err := s.planImport(ctx, new(longJob), req, mayUse)
	if err != nil {
		return Import{}, fmt.Errorf("import of %s: %w", req.Source, err)
	}
	planned := s.describeImport(p.disk, req.Name, imported{note: p.note, record: p.record})
	planned.State, planned.Size = ImportPlanned, p.size
	if p.enforced {
		limits, _ := p.disk.limiter()
		planned.Enforced = quota.KindOf(limits)
	}
	return planned, nil
}

// findImport finds what there is of an import, and on which disk. It returns ErrConflict
// if that is not what is asked for.
func (s *Store) findImport(ctx context.Context, req ImportRequest) (*diskState, imported, error) {
	d, i, err := s.locateImport(ctx, req.Name)
	if err != nil || i.stage == importNone {
		return nil, i, err
	}
	from := cmp.Or(i.note.Source, i.record.Imported)
	if from != req.Source {
		return nil, i, fmt.Errorf("%w: volume %s on the disk %s was made from %q", errdefs.ErrConflict, req.Name, d.path, from)
	}
	return d, i, nil
}

// locateImport looks on all disks for the volume of this name, or its beginnings.
func (s *Store) locateImport(ctx context.Context, name string) (*diskState, imported, error) {
	if err := s.mayHave(name); err != nil {
		return nil, imported{}, err
	}
	if err := s.mayHave(importPrefix + name); err != nil {
		return nil, imported{}, err
	}
	for _, d := range s.inUse() {
		i, err := run(ctx, d, read, "looking for an import", func() (imported, error) {
			o, err := d.open()
			if err != nil {
				return imported{}, err
			}
			defer o.close()
			return o.readImport(name)
		})
		if err != nil || i.stage != importNone {
			return d, i, err
		}
	}
	return nil, imported{}, nil
}

// importPlan is what is decided before anything is done.
type importPlan struct {
	request ImportRequest
	disk    *diskState
	note    importNote
	record  Record // without its quota
	size    tree.Size
	// enforced is whether its quota is to hold.
	enforced bool
}

// planImport looks at the source and chooses a disk.
func (s *Store) planImport(ctx context.Context, j *longJob, req ImportRequest, mayUse func(*os.File) error) (*importPlan, error) {
	if away := s.notLookedInto(); away != "" {
		return nil, fmt.Errorf("%w: the import may have begun on a disk that cannot be used now: mend it, or take it out of the configuration%s", errdefs.ErrUnavailable, away)
	}
	if err := s.apartFromImports(ctx, req); err != nil {
		return nil, err
	}
	x, err := s.openSource(req.Source)
	if err != nil {
		return nil, err
	}
	defer x.close()
	source, err := x.open()
	if err != nil {
		return nil, err
	}
	defer source.Close()
	if err := mayUse(source.File); err != nil {
		return nil, fmt.Errorf("%s cannot be imported: %w", x.path, err)
	}
	p := &importPlan{
		request: req,
		note:    importNote{Version: importVersion, Source: x.path, PersistentVolume: req.Old, Begun: time.Now().UTC()},
	}
	if p.size, err = s.measureSource(ctx, source, j.begin(Measuring, tree.Size{}, nil)); err != nil {
		return nil, fmt.Errorf("%w: %s cannot be imported: %w", errdefs.ErrInvalid, x.path, err)
	}
	p.note.Files, p.note.Bytes = p.size.Files, p.size.Bytes
	if p.note.Identity, err = source.Identity(); err != nil {
		return nil, err
	}
	if p.note.Project, err = projectOf(source); err != nil {
		return nil, err
	}
	if err := s.chooseDisk(p, source); err != nil {
		return nil, err
	}
	p.record = req.record(s.node, p.disk)
	return p, p.fits()
}

func projectOf(d *dir.Dir) (*quota.Project, error) {
	p, err := quota.ProjectOf(d.File)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	return &p, err
}

// apartFromImports refuses a directory that another import has to do with.
func (s *Store) apartFromImports(ctx context.Context, req ImportRequest) error {
	for _, i := range s.Imports(ctx) {
		within := strings.HasPrefix(i.Source+"/", req.Source+"/") || strings.HasPrefix(req.Source+"/", i.Source+"/")
		if i.Name != req.Name && i.Source != "" && within {
			return fmt.Errorf("%w: %s is, or lies within or around, %s, which is imported as %s for claim %s", errdefs.ErrConflict, req.Source, i.Source, i.Name, i.Claim)
		}
	}
	return nil
}

// chooseDisk finds a disk with room: one to which the source can be moved, or else the
// roomiest.
func (s *Store) chooseDisk(p *importPlan, source *dir.Dir) error {
	inode, err := source.Inode()
	if err != nil {
		return err
	}
	var reasons []string
	best := int64(-1)
	for _, at := range s.places() {
		if at.pool.Name != cmp.Or(p.request.Class.Pool, at.pool.Name) {
			continue
		}
		class := p.request.Class
		class.Pool = at.pool.Name
		room, err := int64(0), at.err
		if at.disk != nil {
			if err = at.disk.refuses(class); err == nil {
				err = at.disk.cordoned()
			}
			if err == nil {
				room, err = at.disk.available()
			}
		}
		if err != nil {
			reasons = append(reasons, reasonAt(at.path, err))
			continue
		}
		limits, _ := at.disk.limiter()
		enforced := limits != nil && class.Quota != config.QuotaOff
		method := ImportCopy
		if at.disk.id.Inode.Device == inode.Device && !(enforced && limits.Kind() == quota.Btrfs) {
			method = ImportRename
		}
		if need := p.needs(method); room < need {
			reasons = append(reasons, tooSmall(at.path, room, need).Error())
			continue
		}
		if better := p.disk == nil || method == ImportRename && p.note.Method == ImportCopy; better || method == p.note.Method && room > best {
			p.disk, p.note.Method, p.enforced, best = at.disk, method, enforced, room
		}
	}
	if p.disk == nil && len(reasons) == 0 {
		return fmt.Errorf("%w: node %s has no pool %q in hostdir's configuration", errdefs.ErrNoSpace, s.node, p.request.Class.Pool)
	}
	if p.disk == nil {
		return fmt.Errorf("%w: %s", errdefs.ErrNoSpace, strings.Join(reasons, "; "))
	}
	return nil
}

// needs is the room that an import takes: what is moved is there already.
func (p *importPlan) needs(method ImportMethod) int64 {
	need := max(p.request.CapacityBytes, p.size.Bytes)
	if method == ImportRename {
		need -= p.size.Bytes
	}
	return need
}

// fits returns ErrOutOfRange if a limit would not hold what the source does.
func (p *importPlan) fits() error {
	if !p.enforced {
		return nil
	}
	if p.size.Bytes > p.record.CapacityBytes {
		return fmt.Errorf("%w: %s holds %s, and its claim has a capacity of %s, which is enforced on the disk %s: remove files, raise the capacity of the PersistentVolume, or import it with quota=off",
			errdefs.ErrOutOfRange, p.note.Source, config.FormatSize(p.size.Bytes), config.FormatSize(p.record.CapacityBytes), p.disk.path)
	}
	if n, _ := p.record.Class.InodeLimit(); n > 0 && p.size.Files > n {
		return fmt.Errorf("%w: %s holds %d files and directories, and at most %d are allowed: raise inodes, or leave it out", errdefs.ErrOutOfRange, p.note.Source, p.size.Files, n)
	}
	return nil
}
