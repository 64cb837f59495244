package store

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/beneath"
)

// filesystem identifies the filesystem that a base directory is on. UUID is
// empty where the filesystem tells none.
type filesystem struct {
	Type string `json:"type"`
	UUID string `json:"uuid,omitempty"`
}

func (f filesystem) String() string {
	if f.UUID == "" {
		return f.Type
	}
	return f.Type + " " + f.UUID
}

// same tells whether f and other can be the same filesystem. An older kernel may
// not have told the UUID when f was written down.
func (f filesystem) same(other filesystem) bool {
	return f.Type == other.Type && (f.UUID == other.UUID || f.UUID == "" || other.UUID == "")
}

// Requests of ioctl(2) that tell a filesystem's UUID, and where in their answer
// it stands. The filesystems' own come first: what the general one tells for
// btrfs may differ, and must not change with the kernel. f_fsid of statfs(2)
// would not do: on XFS it is made from the device number and changes between
// boots.
var uuidRequests = []struct {
	magic   int64 // 0: any filesystem
	request uintptr
	offset  int
}{
	{unix.EXT4_SUPER_MAGIC, ext4GetUUID, 8},  // struct fsuuid, Linux 6.0
	{unix.XFS_SUPER_MAGIC, 0x80705864, 64},   // XFS_IOC_FSGEOMETRY_V1: struct xfs_fsop_geom_v1
	{unix.BTRFS_SUPER_MAGIC, 0x8400941f, 16}, // BTRFS_IOC_FS_INFO: struct btrfs_ioctl_fs_info_args
	{0, 0x80111500, 1},                       // FS_IOC_GETFSUUID: struct fsuuid2, Linux 6.9
}

const ext4GetUUID = 0x8008662c // EXT4_IOC_GETFSUUID

var filesystemTypes = map[int64]string{
	unix.BTRFS_SUPER_MAGIC:     "btrfs",
	unix.EXT4_SUPER_MAGIC:      "ext4",
	unix.F2FS_SUPER_MAGIC:      "f2fs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay",
	unix.TMPFS_MAGIC:           "tmpfs",
	unix.XFS_SUPER_MAGIC:       "xfs",
	0x2fc12fc1:                 "zfs",
}

// identity tells which filesystem d is on.
func (d *dir) identity() (filesystem, error) {
	var stat unix.Statfs_t
	if err := unix.Fstatfs(d.fd(), &stat); err != nil {
		return filesystem{}, d.wrap("statfs", ".", err)
	}
	id := filesystem{Type: filesystemTypes[int64(stat.Type)]}
	if id.Type == "" {
		id.Type = fmt.Sprintf("%#x", stat.Type)
	}
	for _, r := range uuidRequests {
		if r.magic != 0 && r.magic != int64(stat.Type) {
			continue
		}
		var answer [1024]byte // the largest of the structs
		if r.request == ext4GetUUID {
			answer[0] = 16 // fsu_len: the room for the UUID
		}
		errno := unix.EINTR
		for errno == unix.EINTR {
			_, _, errno = unix.Syscall(unix.SYS_IOCTL, uintptr(d.fd()), r.request, uintptr(unsafe.Pointer(&answer)))
		}
		switch u := answer[r.offset : r.offset+16]; {
		case isOf(errno, noSpaceErrnos):
			// Nothing is wrong with the question. Another one may be
			// answered otherwise, and the pool be taken for a copy.
			return filesystem{}, d.wrap("ioctl", ".", errno)
		case errno == 0 && !bytes.Equal(u, make([]byte, 16)): // Linux may not know it of a root filesystem
			id.UUID = fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
			return id, nil
		}
	}
	return id, nil
}

// room is what statfs(2) tells of a filesystem, in bytes, and its device. The
// size is without what the filesystem keeps for root.
type room struct {
	size     int64
	free     int64
	readOnly bool
	device   uint64
	// inodes are 0 on a filesystem that counts none, such as btrfs.
	inodes, freeInodes int64
}

func (d *dir) room() (room, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(d.fd(), &s); err != nil {
		return room{}, d.wrap("statfs", ".", err)
	}
	return room{
		size:     int64(s.Blocks-s.Bfree+s.Bavail) * s.Bsize,
		free:     int64(s.Bavail) * s.Bsize,
		readOnly: s.Flags&unix.ST_RDONLY != 0,
		device:   d.device(),

		inodes:     int64(s.Files),
		freeInodes: int64(s.Ffree),
	}, nil
}

// checkMountPoint returns an error unless a filesystem's own root is mounted at
// d. Inside a container every hostPath volume is a mount, so it is the root
// field of mountinfo that tells a disk from a plain directory of the node.
func (d *dir) checkMountPoint() error {
	root, err := beneath.IsMountRoot(d.f)
	if err != nil {
		return err
	}
	if !root {
		return refuse(Absent, "no disk is mounted there")
	}
	id, err := beneath.MountID(d.f)
	if err != nil {
		return err
	}
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		found := uint64(m.ID) == id
		return !found, found
	})
	if err != nil {
		return fmt.Errorf("the mount table cannot be read: %w", err)
	}
	if len(mounts) == 0 {
		return errors.New("its mount is not in the mount table")
	}
	// A subvolume of btrfs is mounted by name and yet a disk of its own.
	if m := mounts[0]; m.Root != "/" && m.FSType != "btrfs" {
		return refuse(Absent, "no disk is mounted there, only the directory %s of another filesystem", m.Root)
	}
	return nil
}
