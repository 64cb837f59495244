package store

import "time"

// Volume is a volume as the store knows it.
type Volume struct {
	Record
	// Dir is the name of the volume's directory, the second part of its ID.
	Dir string
	// Path is the volume's data directory on the node, for people. hostdir
	// itself goes through descriptors.
	Path string
	// Quarantine is why the volume is refused, nil for a sound one. Of a
	// volume in quarantine only the ID is known.
	Quarantine error
	// Usage is what the volume was last counted to hold.
	Usage Usage
	// Uncountable is why it could not be counted since, "" if it could.
	Uncountable string
}

// Usage is what a volume was counted to hold, and when.
type Usage struct {
	Bytes, Inodes int64
	// At is zero if the volume has not been counted yet.
	At time.Time
}

// allocated is what a volume takes of the room of its disk: its capacity, or its
// usage if that is higher, as it can be where capacity is advisory.
func (v *Volume) allocated() int64 { return max(v.CapacityBytes, v.Usage.Bytes) }

// volumeSet is the volumes of a disk, by the name of their directory, and their
// sums. Volumes are never changed in place: others hold pointers to them.
type volumeSet struct {
	// node is this one.
	node   string
	byName map[string]*Volume
	// allocated and used are the sums; uncounted is how many sound volumes have
	// not been counted yet.
	allocated, used int64
	uncounted       int
	// elsewhere is how many were made on other nodes, by their names.
	elsewhere map[string]int
}

// set records a volume, or with nil that it is gone.
func (s *volumeSet) set(name string, v *Volume) {
	if old := s.byName[name]; old != nil {
		s.add(old, -1)
		delete(s.byName, name)
	}
	if v != nil {
		if s.byName == nil {
			s.byName = map[string]*Volume{}
		}
		s.add(v, 1)
		s.byName[name] = v
	}
}

func (s *volumeSet) add(v *Volume, sign int64) {
	s.allocated += sign * v.allocated()
	s.used += sign * v.Usage.Bytes
	if v.Quarantine == nil && v.Usage.At.IsZero() {
		s.uncounted += int(sign)
	}
	if v.Node == "" || v.Node == s.node { // it is not known of one in quarantine
		return
	}
	if s.elsewhere == nil {
		s.elsewhere = map[string]int{}
	}
	if s.elsewhere[v.Node] += int(sign); s.elsewhere[v.Node] == 0 {
		delete(s.elsewhere, v.Node)
	}
}
