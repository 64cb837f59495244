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

// FilesystemUsage tells the usage of the filesystem that a volume's data is on,
// which the volume shares with others. Available is what an ordinary user gets.
func FilesystemUsage(data *os.File) (VolumeUsage, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(data.Fd()), &s); err != nil {
		return VolumeUsage{}, fmt.Errorf("statfs %s: %w", data.Name(), err)
	}
	return VolumeUsage{
		Bytes: Usage{
			Total:     int64(s.Blocks) * s.Bsize,
			Used:      int64(s.Blocks-s.Bfree) * s.Bsize,
			Available: int64(s.Bavail) * s.Bsize,
		},
		Inodes: Usage{
			Total:     int64(s.Files),
			Used:      int64(s.Files - s.Ffree),
			Available: int64(s.Ffree),
		},
	}, nil
}
