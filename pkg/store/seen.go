package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"

	"k8s.io/klog/v2"
)

// seen is what this node has seen of its base directories. It is kept in a file
// of the node's own, so that a restart with an absent or exchanged disk does not
// pass for a first start. It is a witness only: volumes are not in it, and
// without it hostdir works as on a first start.
type seen struct {
	file string // "" keeps it in memory alone

	// All below is guarded by Store.refreshing.

	// bases are the last sightings, by path. Paths that leave the
	// configuration stay: they may come back.
	bases map[string]sighting
	// pools are the highest generations of all pools that were ever used on
	// this node, by UUID.
	pools map[string]int
	// kept is what the file holds.
	kept []byte
	// unreadable is why the file says nothing, nil if it does or there is
	// none. It is not written then.
	unreadable error
	// unwritable is why the file is not up to date.
	unwritable error
}

// sighting is what was last seen at the path of a base directory.
type sighting struct {
	// Pool is "" if there was something that this node has not used.
	Pool       string     `json:"pool,omitempty"`
	Generation int        `json:"generation,omitempty"`
	Filesystem filesystem `json:"filesystem"`
	// MountPoint tells that a disk was mounted there.
	MountPoint bool `json:"mountPoint,omitempty"`
	// Copy tells that it was refused as one of several copies. It stays so,
	// also once it is the only one, until an operator says that it is right.
	Copy bool `json:"copy,omitempty"`
}

func (s sighting) String() string {
	if s.Pool == "" {
		return fmt.Sprintf("a foreign directory on %s", s.Filesystem)
	}
	return fmt.Sprintf("pool %s on %s", s.Pool, s.Filesystem)
}

const seenVersion = 1

// seenContent is the file.
type seenContent struct {
	Version int                 `json:"version"`
	Bases   map[string]sighting `json:"bases"`
	Pools   map[string]int      `json:"pools"`
}

func newSeen(file string) *seen {
	return &seen{file: file, bases: map[string]sighting{}, pools: map[string]int{}}
}

// load reads the file. What is in memory already is newer.
func (s *seen) load(ctx context.Context) {
	content, data, err := s.read()
	if err != nil {
		if s.unreadable == nil || s.unreadable.Error() != err.Error() {
			klog.FromContext(ctx).Error(err, "it is not known which disks this node had: an empty directory is not made a pool now, unless `hostdir pools init` says so; "+
				"once all disks are mounted, remove the file, and hostdir writes a new one", "file", s.file)
		}
		s.unreadable = err
		return
	}
	s.unreadable, s.kept = nil, data
	for path, now := range s.bases {
		if _, known := content.Bases[path]; !known || now.Pool != "" {
			content.Bases[path] = now
		}
	}
	maps.Copy(content.Pools, s.pools)
	s.bases, s.pools = content.Bases, content.Pools
}

func (s *seen) read() (content seenContent, data []byte, err error) {
	content = seenContent{Bases: map[string]sighting{}, Pools: map[string]int{}}
	if s.file == "" {
		return content, nil, nil
	}
	d, err := openDir(filepath.Dir(s.file))
	if err == nil {
		defer d.close()
		data, err = d.readFile(filepath.Base(s.file))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return content, nil, nil
	case err != nil:
		return content, nil, err
	}
	if err := json.Unmarshal(data, &content); err != nil {
		return content, nil, fmt.Errorf("%s cannot be read: %w", s.file, err)
	}
	if content.Version != seenVersion || content.Bases == nil || content.Pools == nil {
		return content, nil, fmt.Errorf("%s has version %d, this hostdir knows version %d", s.file, content.Version, seenVersion)
	}
	return content, data, nil
}

// save writes the file if it changed. A file that cannot be written is said
// once, and tried again the next time.
func (s *seen) save(ctx context.Context) {
	if s.file == "" || s.unreadable != nil {
		return
	}
	err := s.write()
	if err != nil && (s.unwritable == nil || s.unwritable.Error() != err.Error()) {
		klog.FromContext(ctx).Error(err, "which disks this node has cannot be written down: pools work, but a disk that is exchanged while hostdir does not run may not be noticed", "file", s.file)
	}
	s.unwritable = err
}

func (s *seen) write() error {
	data, err := json.MarshalIndent(seenContent{seenVersion, s.bases, s.pools}, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if bytes.Equal(data, s.kept) {
		return nil
	}
	d, err := openDir(filepath.Dir(s.file))
	if err != nil {
		return err
	}
	defer d.close()
	name := filepath.Base(s.file)
	if err := d.replaceFile("."+name+".new", name, data); err != nil {
		return err
	}
	s.kept = data
	return nil
}

// announce writes a pool down before its marker is written: otherwise a crash
// after that would leave a pool that this node does not know for its own.
func (s *seen) announce(ctx context.Context, uuid string) {
	s.pools[uuid] = 0
	s.save(ctx)
}

// healthy notes what is used.
func (s *seen) healthy(x *sight) {
	s.bases[x.path] = sighting{Pool: x.marker.UUID, Generation: x.marker.Generation, Filesystem: x.filesystem, MountPoint: x.mountPoint}
	s.pools[x.marker.UUID] = max(s.pools[x.marker.UUID], x.marker.Generation)
}

// foreign notes what is at a path where nothing was used yet: the directory below
// its mount point must not be taken for an empty one that was meant.
func (s *seen) foreign(x *sight) {
	if _, known := s.bases[x.path]; !known && x.filesystem.Type != "" {
		s.bases[x.path] = sighting{Filesystem: x.filesystem, MountPoint: x.mountPoint}
	}
}

// copied notes what is refused as a copy.
func (s *seen) copied(x *sight) {
	s.bases[x.path] = sighting{Pool: x.marker.UUID, Generation: x.marker.Generation, Filesystem: x.filesystem, Copy: true}
}
