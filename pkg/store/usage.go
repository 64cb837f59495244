package store

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Usage is how much of something there is.
type Usage struct {
	Total, Used, Available int64
}

// VolumeUsage is what a volume can use and has used.
type VolumeUsage struct {
	Bytes, Inodes Usage
}

// Usage tells what a volume's filesystem has, which the volume shares with
// others. Available is what an ordinary user gets. Before that, isPublished is
// called with the data directory and can refuse.
func (s *Store) Usage(volumeID string, isPublished func(data *os.File) error) (VolumeUsage, error) {
	l, err := s.look(volumeID)
	if err != nil {
		return VolumeUsage{}, err
	}
	defer l.close()
	data, err := l.data()
	if err != nil {
		return VolumeUsage{}, fmt.Errorf("volume %s: %w", volumeID, err)
	}
	defer data.close()
	if err := isPublished(data.f); err != nil {
		return VolumeUsage{}, fmt.Errorf("volume %s: %w", volumeID, err)
	}
	var stat unix.Statfs_t
	if err := unix.Fstatfs(data.fd(), &stat); err != nil {
		return VolumeUsage{}, fmt.Errorf("volume %s: %w", volumeID, data.wrap("statfs", ".", err))
	}
	return VolumeUsage{
		Bytes: Usage{
			Total:     int64(stat.Blocks) * stat.Bsize,
			Used:      int64(stat.Blocks-stat.Bfree) * stat.Bsize,
			Available: int64(stat.Bavail) * stat.Bsize,
		},
		Inodes: Usage{
			Total:     int64(stat.Files),
			Used:      int64(stat.Files - stat.Ffree),
			Available: int64(stat.Ffree),
		},
	}, nil
}
