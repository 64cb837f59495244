package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

const (
	markerFile    = "pool.json"
	markerNewFile = ".pool.json.new"
	markerVersion = 1

	volumesDir = "volumes"
	trashDir   = "trash"
	claimsDir  = "claims"
)

// marker is pool.json: it says that a directory is one of hostdir's base
// directories, which one, and on which filesystem it was made.
type marker struct {
	Version int    `json:"version"`
	UUID    string `json:"uuid"`
	// Generation tells copies of a pool apart: an operator who says that one of
	// them is right raises it there. It is 0 until then.
	Generation int        `json:"generation,omitempty"`
	Filesystem filesystem `json:"filesystem"`
	Created    time.Time  `json:"created"`
}

// readMarker reads and checks the marker of a base directory. Without one the
// error is fs.ErrNotExist.
func (d *dir) readMarker() (marker, error) {
	m, err := d.loadMarker()
	if err != nil {
		return marker{}, err
	}
	now, err := d.identity()
	if err != nil {
		return marker{}, err
	}
	return m, m.checkFilesystem(now)
}

// loadMarker is readMarker wherever the directory is.
func (d *dir) loadMarker() (marker, error) {
	data, err := d.readFile(markerFile)
	if err != nil {
		return marker{}, err
	}
	var m marker
	if err := json.Unmarshal(data, &m); err != nil {
		return marker{}, fmt.Errorf("its %s cannot be read: %w", markerFile, err)
	}
	if m.Version != markerVersion {
		return marker{}, fmt.Errorf("its %s has version %d, this hostdir knows version %d", markerFile, m.Version, markerVersion)
	}
	if !uuidPattern.MatchString(m.UUID) {
		return marker{}, fmt.Errorf("its %s holds no valid UUID", markerFile)
	}
	if m.Generation < 0 || m.Generation > maxGeneration {
		return marker{}, fmt.Errorf("its %s holds no valid generation", markerFile)
	}
	return m, nil
}

// maxGeneration leaves no doubt about the next one.
const maxGeneration = 1 << 30

func (m marker) checkFilesystem(now filesystem) error {
	if now.same(m.Filesystem) {
		return nil
	}
	return refuse(Copied, "it was made on another filesystem (%s, now %s): the disk was copied or exchanged", m.Filesystem, now)
}

// initialise turns an empty directory into a base directory with this UUID. The
// marker is written last: until it is there, the next start begins again.
func (d *dir) initialise(uuid string, now time.Time) (marker, error) {
	if err := d.checkEmpty(); err != nil {
		return marker{}, err
	}
	id, err := d.identity()
	if err != nil {
		return marker{}, err
	}
	m := marker{Version: markerVersion, UUID: uuid, Filesystem: id, Created: now.UTC()}
	data, err := m.encode()
	if err != nil {
		return marker{}, err
	}
	if err := errors.Join(d.f.Chown(0, 0), d.f.Chmod(0o700)); err != nil {
		return marker{}, err
	}
	for _, name := range []string{volumesDir, trashDir, claimsDir} {
		if err := d.mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
			return marker{}, err
		}
	}
	if err := d.unlink(markerNewFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return marker{}, err
	}
	if err := d.writeFile(markerNewFile, data); err != nil {
		return marker{}, err
	}
	if err := d.renameTo(markerNewFile, d, markerFile); err != nil {
		return marker{}, err
	}
	return m, d.sync()
}

func (m marker) encode() ([]byte, error) {
	data, err := json.MarshalIndent(m, "", "  ")
	return append(data, '\n'), err
}

// checkEmpty returns an error if d holds anything but what mkfs or an
// interrupted initialise left.
func (d *dir) checkEmpty() error {
	names, err := d.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		switch name {
		case "lost+found", markerNewFile:
		case volumesDir, trashDir, claimsDir:
			sub, err := d.sub(name)
			if err != nil {
				return err
			}
			inside, err := sub.names()
			sub.close()
			if err != nil {
				return err
			}
			if len(inside) > 0 {
				return fmt.Errorf("it has no %s, yet its directory %s holds %q", markerFile, name, slices.Min(inside))
			}
		default:
			return fmt.Errorf("it has no %s and is not empty (it holds %q): hostdir takes only empty directories for its own", markerFile, name)
		}
	}
	return nil
}
