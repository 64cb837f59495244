package quota

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// There is no other way to ask btrfs about qgroups than to read its trees.

// find returns the item of a key whose offset is at least minOffset, nil if
// there is none, or no such tree: quotas switched off have none.
func find(fs *os.File, tree, object uint64, kind uint32, minOffset, maxOffset uint64) ([]byte, error) {
	item, _, err := findOffset(fs, tree, object, kind, minOffset, maxOffset)
	return item, err
}

// findOffset is find that returns the key's offset as well.
func findOffset(fs *os.File, tree, object uint64, kind uint32, minOffset, maxOffset uint64) (item []byte, offset uint64, err error) {
	s := searchArgs{
		tree:      tree,
		minObject: object, maxObject: object,
		minType: kind, maxType: kind,
		minOffset: minOffset, maxOffset: maxOffset,
		maxGeneration: ^uint64(0),
		items:         1,
	}
	err = ioctl("search tree", fs, treeSearch, &s)
	if errors.Is(err, unix.ENOENT) || err == nil && s.items == 0 {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	size := binary.NativeEndian.Uint32(s.found[searchHeaderSize-4:])
	return s.found[searchHeaderSize : searchHeaderSize+size], binary.NativeEndian.Uint64(s.found[16:]), nil
}

// field is a number of an item: little-endian on disk, on every machine.
func field(item []byte, i int) uint64 { return binary.LittleEndian.Uint64(item[8*i:]) }

// quotaFlags are the flags of the filesystem's quotas, 0 if there are none.
func quotaFlags(fs *os.File) (uint64, error) {
	status, err := find(fs, quotaTree, 0, quotaStatusKey, 0, 0)
	if status == nil {
		return 0, err
	}
	return field(status, 2), nil // version, generation, flags
}

// groupHeld is what a qgroup holds, in bytes: all, and what no other qgroup has.
type groupHeld struct{ referenced, exclusive int64 }

// groupUsage returns what a qgroup holds, and whether it exists.
func groupUsage(fs *os.File, group uint64) (held groupHeld, exists bool, err error) {
	info, err := find(fs, quotaTree, 0, groupInfoKey, group, group)
	if info == nil {
		return groupHeld{}, false, err
	}
	// Generation, referenced bytes, these compressed, exclusive bytes, these compressed.
	return groupHeld{int64(field(info, 1)), int64(field(info, 3))}, true, nil
}

// groupMaximum is a qgroup's limit, 0 if it has none.
func groupMaximum(fs *os.File, group uint64) (int64, error) {
	limit, err := find(fs, quotaTree, 0, groupLimitKey, group, group)
	if limit == nil || field(limit, 0)&limitBytes == 0 {
		return 0, err
	}
	return int64(field(limit, 1)), nil // flags, most referenced bytes
}

// subvolumeExists reports whether btrfs knows a subvolume. It knows a removed one
// until that is cleared away.
func subvolumeExists(fs *os.File, id ID) (bool, error) {
	root, err := find(fs, rootTree, uint64(id), rootKey, 0, ^uint64(0))
	return root != nil, err
}

// subvolumeID is the ID of the subvolume whose top directory is dir.
func subvolumeID(dir *os.File) (ID, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &stat); err != nil {
		return 0, &os.PathError{Op: "stat", Path: dir.Name(), Err: err}
	}
	if stat.Ino != subvolumeInode {
		return 0, fmt.Errorf("%s is not a subvolume: %w", dir.Name(), errors.ErrUnsupported)
	}
	lookup := lookupArgs{objectID: subvolumeInode}
	err := ioctl("get subvolume", dir, inodeLookup, &lookup)
	return ID(lookup.tree), err
}
