package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/hostdir/hostdir/pkg/dir"
)

// History is what a node has seen of its disks. It is kept in a file of the
// node's own, so that a restart with an absent or exchanged disk does not pass
// for a first start. It is a witness, no index: volumes are not in it, and
// without it hostdir works as on a first start. Its methods must not be called
// at the same time.
type History struct {
	file string // "" keeps it in memory alone

	content content
	// begun reports that Load was called.
	begun bool
	// kept is what the file holds.
	kept []byte
	// Unreadable is why the file says nothing, nil if it does or there is none.
	// It is not written then. Unwritable is why it is not up to date.
	Unreadable, Unwritable error
}

// content is the file.
type content struct {
	Version int `json:"version"`
	// Instance is a UUID of this hostdir's own: see Owner.
	Instance string `json:"instance,omitempty"`
	// Paths are the last entries. Paths that leave the configuration stay: they
	// may come back.
	Paths map[string]Entry `json:"paths"`
	// Generations are the highest ones of all disks that were ever used on this
	// node, by UUID.
	Generations map[string]int `json:"generations"`
	// Foreign is what was last counted on a disk's filesystem besides the disk's
	// volumes, in bytes, by UUID.
	Foreign map[string]int64 `json:"foreignBytes,omitempty"`
	// LastRun is when hostdir ran last, as the node's clock had it.
	LastRun time.Time `json:"lastRun,omitzero"`
}

// Entry is what was last seen at a path.
type Entry struct {
	// Disk is a UUID, or "" if there was something that this node has not used.
	Disk       string         `json:"disk,omitempty"`
	Generation int            `json:"generation,omitempty"`
	Filesystem dir.Filesystem `json:"filesystem"`
	// MountPoint reports that a disk was mounted there.
	MountPoint bool `json:"mountPoint,omitempty"`
	// Volumes is how many the disk had when they were last noted.
	Volumes int `json:"volumes,omitempty"`
	// Copy reports that it was refused as one of several copies. It stays so,
	// also once it is the only one, until an operator says that it is right.
	Copy bool `json:"copy,omitempty"`
}

func (e Entry) String() string {
	if e.Disk == "" {
		return fmt.Sprintf("a foreign directory on %s", e.Filesystem)
	}
	return fmt.Sprintf("disk %s on %s", e.Disk, e.Filesystem)
}

// emptied reports whether the empty directory that p found is surely where the
// disk was. A filesystem without UUID is never sure.
func (e Entry) emptied(p Probe) bool {
	return e.Filesystem == p.Filesystem && p.Filesystem.UUID != "" && !e.Copy && (p.MountPoint || !e.MountPoint)
}

const historyVersion = 1

// NewHistory returns an empty history that Load and Save keep in a file, or in
// memory alone with "".
func NewHistory(file string) *History {
	h := &History{file: file, content: newContent()}
	if file != "" {
		h.content.Instance = uuid.NewString()
	}
	return h
}

func newContent() content {
	return content{Version: historyVersion, Paths: map[string]Entry{}, Generations: map[string]int{}, Foreign: map[string]int64{}}
}

// File returns the path of the history's file.
func (h *History) File() string { return h.file }

// Load reads the file, and sets Unreadable. What is in memory already is newer.
func (h *History) Load() {
	begun := h.begun
	h.begun = true
	was, data, err := h.read()
	if h.Unreadable = err; err != nil {
		return
	}
	h.kept = data
	for path, now := range h.content.Paths {
		if _, known := was.Paths[path]; !known || now.Disk != "" {
			was.Paths[path] = now
		}
	}
	for uuid, generation := range h.content.Generations {
		was.Generations[uuid] = max(was.Generations[uuid], generation)
	}
	maps.Copy(was.Foreign, h.content.Foreign)
	if was.Instance == "" || begun {
		was.Instance = h.content.Instance // disks may be signed with it
	}
	if !h.content.LastRun.IsZero() {
		was.LastRun = h.content.LastRun
	}
	h.content = was
}

func (h *History) read() (c content, data []byte, err error) {
	if h.file == "" {
		return newContent(), nil, nil
	}
	d, err := dir.Open(filepath.Dir(h.file))
	if err == nil {
		defer d.Close()
		data, err = d.ReadFile(filepath.Base(h.file))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return newContent(), nil, nil
	case err != nil:
		return c, nil, err
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, nil, fmt.Errorf("%s cannot be read: %w", h.file, err)
	}
	switch {
	case c.Version != historyVersion:
		return c, nil, fmt.Errorf("%s has version %d, this hostdir knows version %d", h.file, c.Version, historyVersion)
	case c.Paths == nil || c.Generations == nil:
		return c, nil, fmt.Errorf("%s cannot be read: it names no paths or no generations", h.file)
	}
	if c.Foreign == nil {
		c.Foreign = map[string]int64{}
	}
	return c, data, nil
}

// Save writes the file if it changed, and sets Unwritable. It does not overwrite
// a file that Load could not read.
func (h *History) Save() {
	if h.file != "" && h.Unreadable == nil {
		h.Unwritable = h.write()
	}
}

func (h *History) write() error {
	data, err := json.MarshalIndent(h.content, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if bytes.Equal(data, h.kept) {
		return nil
	}
	d, err := dir.Open(filepath.Dir(h.file))
	if err != nil {
		return err
	}
	defer d.Close()
	name := filepath.Base(h.file)
	if err := d.ReplaceFile("."+name+".new", name, data); err != nil {
		return err
	}
	h.kept = data
	return nil
}

// Instance distinguishes this hostdir from all others on nodes of the same name. It
// is "" for one that keeps its history in memory alone.
func (h *History) Instance() string { return h.content.Instance }

// At returns what was last seen at a path.
func (h *History) At(path string) Entry { return h.content.Paths[path] }

// Paths returns the paths at which something was seen.
func (h *History) Paths() []string {
	paths := make([]string, 0, len(h.content.Paths))
	for path := range h.content.Paths {
		paths = append(paths, path)
	}
	return paths
}

// Intend notes a disk before its marker is written: otherwise a crash after that
// would leave a disk that this node does not know for its own.
func (h *History) Intend(uuid string) { h.content.Generations[uuid] = 0 }

// Used notes the disk that is used at a path.
func (h *History) Used(p Probe) {
	m := *p.Marker
	h.content.Paths[p.Path] = Entry{Disk: m.UUID, Generation: m.Generation, Filesystem: p.Filesystem, MountPoint: p.MountPoint}
	h.content.Generations[m.UUID] = max(h.content.Generations[m.UUID], m.Generation)
}

// Holds notes how many volumes the disk that is used at a path has.
func (h *History) Holds(path, uuid string, volumes int) {
	if e := h.content.Paths[path]; e.Disk == uuid {
		e.Volumes = volumes
		h.content.Paths[path] = e
	}
}

// Foreign returns what a disk's filesystem was last counted to hold besides the
// disk's volumes, in bytes.
func (h *History) Foreign(uuid string) (bytes int64, known bool) {
	bytes, known = h.content.Foreign[uuid]
	return bytes, known
}

// SetForeign notes what Foreign returns.
func (h *History) SetForeign(uuid string, bytes int64) { h.content.Foreign[uuid] = bytes }

// LastRun returns when hostdir ran last, zero if that is not known.
func (h *History) LastRun() time.Time { return h.content.LastRun }

// SetLastRun notes what LastRun returns.
func (h *History) SetLastRun(now time.Time) { h.content.LastRun = now.UTC() }

// describe says what was last seen at a path, for people.
func (h *History) describe(path string) string {
	was, known := h.content.Paths[path]
	switch {
	case known && was.Copy:
		return fmt.Sprintf("a copy of %s, which was refused", was)
	case known:
		return was.String()
	case h.Unreadable != nil:
		return "not known: " + h.Unreadable.Error()
	default:
		return "nothing that this node has used"
	}
}
