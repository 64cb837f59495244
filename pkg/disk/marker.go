package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/sysfiles"
)

// What hostdir makes in a disk's directory.
const (
	MarkerFile = "disk.json"
	// MarkerNewFile is a marker that is being replaced.
	MarkerNewFile = ".disk.json.new"

	VolumesDir = "volumes"
	// SnapshotsDir is made with the first snapshot.
	SnapshotsDir = "snapshots"
	TrashDir     = "trash"
	ClaimsDir    = "claims"
)

const markerVersion = 1

// UUIDPattern is the form of a disk's UUID.
var UUIDPattern = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// Marker is disk.json: it says that a directory is one of hostdir's disks, which
// one, and on which filesystem it was made.
type Marker struct {
	Version int    `json:"version"`
	UUID    string `json:"uuid"`
	// Generation tells copies of a disk apart: an operator who says that one of
	// them is right raises it there. It is 0 until then.
	Generation int            `json:"generation,omitempty"`
	Filesystem dir.Filesystem `json:"filesystem"`
	Created    time.Time      `json:"created"`
	// Cordoned is since when the disk takes no new volumes, zero if it does.
	Cordoned time.Time `json:"cordoned,omitzero"`
}

// Identity is what stays the same as long as a disk is the one that it was.
type Identity struct {
	UUID       string
	Generation int
	Inode      dir.Inode
}

// Check returns an error unless the open directory is this disk, on the
// filesystem that it was made on. The same cache makes the next check cheaper.
func (id Identity) Check(d *dir.Dir, cache *MarkerCache) error {
	m, err := cache.Read(d)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Refuse(Absent, "its %s is gone: is the disk mounted?", MarkerFile)
	case err != nil:
		return err
	case m.UUID != id.UUID:
		return Refuse(Exchanged, "it holds disk %s, it held %s: the disk was exchanged", m.UUID, id.UUID)
	case m.Generation != id.Generation:
		return Refuse(Copied, "it holds generation %d of disk %s, it held generation %d: the disk was exchanged for a copy", m.Generation, id.UUID, id.Generation)
	}
	return nil
}

// loadMarker reads a disk's marker, on whatever filesystem the disk is now.
// Without a marker the error is fs.ErrNotExist.
func loadMarker(d *dir.Dir) (Marker, error) {
	data, err := d.ReadFile(MarkerFile)
	if err != nil {
		return Marker{}, err
	}
	return parseMarker(data)
}

// MarkerCache keeps the marker that was read last, so that the same bytes need
// not be parsed for each call on a disk. It may be shared between goroutines.
type MarkerCache struct {
	last atomic.Pointer[parsedMarker]
}

type parsedMarker struct {
	data   []byte
	marker Marker
}

// Read reads a disk's marker, and checks that the disk is on the filesystem that
// it was made on. Without a marker the error is fs.ErrNotExist.
func (c *MarkerCache) Read(d *dir.Dir) (Marker, error) {
	data, err := d.ReadFile(MarkerFile)
	if err != nil {
		return Marker{}, err
	}
	last := c.last.Load()
	if last == nil || !bytes.Equal(last.data, data) {
		m, err := parseMarker(data)
		if err != nil {
			return Marker{}, err
		}
		last = &parsedMarker{data, m}
		c.last.Store(last)
	}
	now, err := d.Filesystem()
	if err != nil {
		return Marker{}, err
	}
	return last.marker, last.marker.checkFilesystem(now)
}

func parseMarker(data []byte) (Marker, error) {
	var m Marker
	if err := json.Unmarshal(data, &m); err != nil {
		return Marker{}, fmt.Errorf("its %s cannot be read: %w", MarkerFile, err)
	}
	switch {
	case m.Version != markerVersion:
		return Marker{}, fmt.Errorf("its %s has version %d, this hostdir knows version %d", MarkerFile, m.Version, markerVersion)
	case !UUIDPattern.MatchString(m.UUID):
		return Marker{}, fmt.Errorf("its %s holds no valid UUID", MarkerFile)
	case m.Generation < 0 || m.Generation > maxGeneration:
		return Marker{}, fmt.Errorf("its %s holds no valid generation", MarkerFile)
	}
	return m, nil
}

// maxGeneration leaves no doubt about the next one.
const maxGeneration = 1 << 30

func (m Marker) checkFilesystem(now dir.Filesystem) error {
	if now.Same(m.Filesystem) {
		return nil
	}
	return Refuse(Copied, "it was made on another filesystem (%s, now %s): the disk was copied or exchanged", m.Filesystem, now)
}

// Initialise makes an empty directory a disk with this UUID. The marker is
// written last: until it is there, the next start begins again.
func Initialise(d *dir.Dir, uuid string, now time.Time) (Marker, error) {
	unlock, err := lock(d)
	if err != nil {
		return Marker{}, err
	}
	defer unlock()
	if err := checkEmpty(d); err != nil {
		return Marker{}, err
	}
	filesystem, err := d.Filesystem()
	if err != nil {
		return Marker{}, err
	}
	m := Marker{Version: markerVersion, UUID: uuid, Filesystem: filesystem, Created: now.UTC()}
	data, err := m.encode()
	if err != nil {
		return Marker{}, err
	}
	if err := errors.Join(d.Chown(0, 0), d.Chmod(0o700)); err != nil {
		return Marker{}, err
	}
	for _, name := range []string{VolumesDir, TrashDir, ClaimsDir} {
		if err := d.Mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
			return Marker{}, err
		}
	}
	if err := d.Unlink(MarkerNewFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Marker{}, err
	}
	if err := d.WriteFile(MarkerNewFile, data); err != nil {
		return Marker{}, err
	}
	if err := d.RenameTo(MarkerNewFile, d, MarkerFile); err != nil {
		return Marker{}, err
	}
	return m, d.Sync()
}

func (m Marker) encode() ([]byte, error) {
	data, err := json.MarshalIndent(m, "", "  ")
	return append(data, '\n'), err
}

// checkEmpty returns an error if d holds anything but what a system leaves there by
// itself, or an interrupted Initialise.
func checkEmpty(d *dir.Dir) error {
	names, err := d.Names()
	if err != nil {
		return err
	}
	if slices.Contains(names, MarkerFile) {
		return Refuse(Pending, "it was made a disk a moment ago: hostdir looks again soon")
	}
	for _, name := range names {
		switch name {
		case MarkerNewFile, OwnerFile, OwnerNewFile:
		case VolumesDir, TrashDir, ClaimsDir:
			inside, err := d.NamesIn(name)
			if err != nil {
				return err
			}
			if len(inside) > 0 {
				return fmt.Errorf("it has no %s, yet its directory %s holds %q", MarkerFile, name, slices.Min(inside))
			}
		default:
			if !sysfiles.Known(name) {
				return fmt.Errorf("it has no %s and is not empty (it holds %q): hostdir takes only empty directories for its own", MarkerFile, name)
			}
		}
	}
	return nil
}
