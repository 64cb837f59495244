package store

import "github.com/hostdir/hostdir/pkg/disk"

// formerDisk returns how many volumes go with the disk that was at a path, and where
// it is now, "" if it is at no path of the configuration. The caller holds s.mu.
func (s *Store) formerDisk(was disk.Entry) (volumes int, elsewhere string) {
	for _, x := range s.slots {
		if p := x.probe; x.answered && p.Err == nil && p.Marker != nil && p.Marker.UUID == was.Disk {
			return 0, x.path
		}
	}
	if d := s.disks[was.Disk]; d != nil {
		volumes, _ = d.holds()
		return volumes, ""
	}
	return was.Volumes, "" // as a start remembers it
}
