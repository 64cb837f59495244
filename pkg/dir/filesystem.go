package dir

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Filesystem identifies a filesystem. UUID is empty where it has none.
type Filesystem struct {
	Type string `json:"type"`
	UUID string `json:"uuid,omitempty"`
}

func (f Filesystem) String() string {
	if f.UUID == "" {
		return f.Type
	}
	return f.Type + " " + f.UUID
}

// Same reports whether f and other can be the same filesystem. An older kernel may
// not have known the UUID when f was written down.
func (f Filesystem) Same(other Filesystem) bool {
	return f.Type == other.Type && (f.UUID == other.UUID || f.UUID == "" || other.UUID == "")
}

// Requests of ioctl(2) for a filesystem's UUID, and where in their answer
// it stands. The filesystems' own come first: what the general one says of
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

// Filesystem returns the filesystem that d is on.
func (d *Dir) Filesystem() (Filesystem, error) {
	var stat unix.Statfs_t
	if err := unix.Fstatfs(d.FD(), &stat); err != nil {
		return Filesystem{}, d.Wrap("statfs", ".", err)
	}
	id := Filesystem{Type: filesystemTypes[int64(stat.Type)]}
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
			_, _, errno = unix.Syscall(unix.SYS_IOCTL, uintptr(d.FD()), r.request, uintptr(unsafe.Pointer(&answer)))
		}
		switch u := answer[r.offset : r.offset+16]; {
		case IsNoSpace(errno):
			// Nothing is wrong with the question. Another one may be
			// answered otherwise, and the disk be taken for a copy.
			return Filesystem{}, d.Wrap("ioctl", ".", errno)
		case errno == 0 && !bytes.Equal(u, make([]byte, 16)): // Linux may not know it of a root filesystem
			id.UUID = fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
			return id, nil
		}
	}
	return id, nil
}

// Space is what statfs(2) says of a filesystem, in bytes. The size is without
// what the filesystem keeps for root.
type Space struct {
	Size     int64
	Free     int64
	ReadOnly bool
	// Inodes are 0 on a filesystem that counts none, such as btrfs.
	Inodes, FreeInodes int64
}

// Space asks statfs(2).
func (d *Dir) Space() (Space, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(d.FD(), &s); err != nil {
		return Space{}, d.Wrap("statfs", ".", err)
	}
	return Space{
		Size:     int64(s.Blocks-s.Bfree+s.Bavail) * s.Bsize,
		Free:     int64(s.Bavail) * s.Bsize,
		ReadOnly: s.Flags&unix.ST_RDONLY != 0,

		Inodes:     int64(s.Files),
		FreeInodes: int64(s.Ffree),
	}, nil
}

// btrfsSubvolume is the inode number of a subvolume's root: BTRFS_FIRST_FREE_OBJECTID
// in linux/btrfs_tree.h.
const btrfsSubvolume = 256

// ErrNotMounted is returned for a directory on which no disk is mounted.
var ErrNotMounted = errors.New("no disk is mounted there")

// CheckMountPoint returns an error unless a filesystem's own root is mounted at
// d. Inside a container every hostPath volume is a mount, so it is the root
// field of mountinfo in which a disk differs from a plain directory of the node.
func (d *Dir) CheckMountPoint() error {
	root, err := IsMountRoot(d.File)
	if err != nil {
		return err
	}
	if !root {
		return ErrNotMounted
	}
	m, err := MountOf(d.File)
	if err != nil {
		return err
	}
	if m.Root == "/" {
		return nil
	}
	// A subvolume of btrfs is mounted by name and yet a disk of its own.
	inode, err := d.Inode()
	if err != nil {
		return err
	}
	if m.FSType != "btrfs" || inode.Number != btrfsSubvolume {
		return fmt.Errorf("%w, only the directory %s of another filesystem", ErrNotMounted, m.Root)
	}
	return nil
}
