package store

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// sight is what there is at the path of a base directory.
type sight struct {
	path string
	pool Pool
	// base is what the store knew of it before.
	base *base

	// err is why nothing more can be told. All below is known if it is nil.
	err        error
	inode      inode
	filesystem filesystem
	// marker is nil in an empty directory.
	marker *marker
	// mountPoint tells that a disk is mounted there. Of a base directory that
	// is in use, take tells it: the mount table may be long.
	mountPoint bool

	// refused is why it is not used, nil if it is: judge and take say so.
	refused error
}

// lookAround looks at every path of the configuration and changes nothing.
func (s *Store) lookAround() []*sight {
	s.mu.RLock()
	pools, bases := s.pools, s.bases
	s.mu.RUnlock()
	var all []*sight
	named := map[string]bool{} // a path may match two globs
	for _, pool := range pools {
		for _, path := range pool.paths() {
			if named[path] {
				continue
			}
			named[path] = true
			x := &sight{path: path, pool: pool}
			if i := slices.IndexFunc(bases, func(b *base) bool { return b.path == path }); i >= 0 {
				x.base = bases[i]
			} else {
				x.base = newBase(path, pool)
			}
			x.err = x.look()
			all = append(all, x)
		}
	}
	return all
}

func (x *sight) look() error {
	d, err := openBase(x.path)
	if err != nil {
		return err
	}
	defer d.close()
	if x.pool.RequireMountPoint {
		if err := d.checkMountPoint(); err != nil {
			return err
		}
	}
	if x.inode, err = d.inode(); err != nil {
		return err
	}
	if x.filesystem, err = d.identity(); err != nil {
		return err
	}
	m, err := d.loadMarker()
	if err == nil {
		x.marker = &m
	} else if errors.Is(err, fs.ErrNotExist) {
		err = d.checkEmpty()
	}
	if !x.inUse() {
		x.mountPoint = d.checkMountPoint() == nil
	}
	return err
}

// holds tells whether x is a directory of this pool, on the filesystem that it
// was made on.
func (x *sight) holds(uuid string) bool {
	return x.err == nil && x.marker != nil && x.marker.UUID == uuid && x.marker.checkFilesystem(x.filesystem) == nil
}

// inUse tells whether the store works with this directory.
func (x *sight) inUse() bool {
	return x.err == nil && x.base.status().Err == nil && x.base.is(x)
}

// String says what there is, for people.
func (x *sight) String() string {
	switch {
	case x.err != nil:
		return x.err.Error()
	case x.marker == nil:
		return fmt.Sprintf("an empty directory on %s", x.filesystem)
	case x.marker.checkFilesystem(x.filesystem) != nil:
		return fmt.Sprintf("a copy of pool %s on %s, which was made on %s", x.marker.UUID, x.filesystem, x.marker.Filesystem)
	default:
		return fmt.Sprintf("pool %s on %s", x.marker.UUID, x.filesystem)
	}
}

// countVolumes counts the entries that can be volumes.
func (x *sight) countVolumes() (n int, err error) {
	d, err := openBase(x.path)
	if err != nil {
		return 0, err
	}
	defer d.close()
	volumes, err := d.sub(volumesDir)
	if err != nil {
		return 0, err
	}
	defer volumes.close()
	names, err := volumes.names()
	for _, name := range names {
		if _, err := ParseVolumeID(VolumeID{Base: x.marker.UUID, Name: name}.String()); err == nil {
			n++
		}
	}
	return n, err
}
