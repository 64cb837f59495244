package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/quota"
)

// A volume that is imported is built aside under this name. No start clears that away,
// as it does with half-built volumes: what is in it may be a person's only copy.
const importPrefix = ".import-"

// importFile is beside the record until the import is finished: how it is undone.
const (
	importFile    = "import.json"
	importNewFile = ".import.json.new"
	importVersion = 1
)

// ImportMethod is how a directory becomes a volume.
type ImportMethod string

const (
	// ImportRename moves it, where it is on the disk's filesystem.
	ImportRename ImportMethod = "rename"
	// ImportCopy copies it. The old one stays until the import is finished.
	ImportCopy ImportMethod = "copy"
)

// importNote is import.json. It is on disk before anything is done to the source.
type importNote struct {
	Version int          `json:"version"`
	Source  string       `json:"source"`
	Method  ImportMethod `json:"method"`
	// Identity is the source's: see dir.Identity.
	Identity string `json:"identity"`
	// Project is whose the source was before, nil if its filesystem has no projects.
	Project *quota.Project `json:"project,omitempty"`
	Files   int64          `json:"files"`
	Bytes   int64          `json:"bytes"`
	// PersistentVolume is the old one, as the client gave it.
	PersistentVolume json.RawMessage `json:"persistentVolume,omitempty"`
	Begun            time.Time       `json:"begun"`
	// Finishing is set once the source of a copy is being removed: there is no way back.
	Finishing bool `json:"finishing,omitempty"`
}

func readNote(volume *dir.Dir) (importNote, error) {
	data, err := volume.ReadFile(importFile)
	if err != nil {
		return importNote{}, err
	}
	var n importNote
	if err := json.Unmarshal(data, &n); err != nil {
		return importNote{}, fmt.Errorf("%s cannot be read: %w", volume.Path(importFile), err)
	}
	if n.Version != importVersion || n.Method != ImportRename && n.Method != ImportCopy {
		return importNote{}, fmt.Errorf("%s has version %d and method %q, which this hostdir does not know", volume.Path(importFile), n.Version, n.Method)
	}
	return n, nil
}

func (n importNote) write(volume *dir.Dir) error {
	data, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	return volume.ReplaceFile(importNewFile, importFile, append(data, '\n'))
}

// importStage is how far an import has come, as its disk shows.
type importStage int

const (
	// importNone: there is neither a volume nor the beginning of one.
	importNone importStage = iota
	// importBegun: it is being built aside.
	importBegun
	// importDone: it is a volume, and can be undone.
	importDone
	// importForgotten: it is a volume like any other.
	importForgotten
)

// imported is what a disk says of an import.
type imported struct {
	stage  importStage
	note   importNote // of importBegun, importDone
	record Record     // of importDone, importForgotten; of importBegun if it is there
}

// readImport looks for an import. One whose note is not there yet has not begun.
func (o openDisk) readImport(name string) (imported, error) {
	volume, err := o.root.Sub(disk.VolumesDir + "/" + name)
	stage := importDone
	if errors.Is(err, fs.ErrNotExist) {
		volume, err = o.root.Sub(disk.VolumesDir + "/" + importPrefix + name)
		stage = importBegun
	}
	if errors.Is(err, fs.ErrNotExist) {
		return imported{}, nil
	}
	if err != nil {
		return imported{}, err
	}
	defer volume.Close()
	i := imported{stage: stage}
	i.note, err = readNote(volume)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return imported{}, err
	}
	r, err := readRecord(volume, o.volumeID(name))
	switch {
	case stage == importBegun && missing:
		if _, err := volume.Lstat(dataDir); err == nil {
			return imported{}, fmt.Errorf("%s holds data, but no %s: nobody knows whose it is; it is left alone, move it out of %s", volume.Name(), importFile, disk.VolumesDir)
		}
		return imported{}, nil
	case stage == importBegun: // the record is written after the note
		if err == nil {
			i.record = r
		}
		return i, nil
	case missing:
		i.stage = importForgotten
	}
	i.record = r
	return i, err
}
