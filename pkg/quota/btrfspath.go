package quota

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path"
)

// maxNesting bounds how deep subvolumes are looked for in each other.
const maxNesting = 100

// SubvolumePath returns where a btrfs has the subvolume of this ID, as a path from
// its top level; "" if there is none, or it has been removed and is being cleared
// away. fs is any directory of the filesystem.
func SubvolumePath(fs *os.File, id ID) (string, error) {
	below, tree := "", uint64(id)
	for range maxNesting {
		if tree == topTree {
			return below, nil
		}
		parent, err := subvolumeParent(fs, tree)
		if err != nil || parent.tree == 0 {
			return "", err
		}
		lookup := lookupArgs{tree: parent.tree, objectID: parent.dir}
		if err := ioctl("look up the subvolume's directory in", fs, inodeLookup, &lookup); err != nil {
			return "", err
		}
		dir, _, _ := bytes.Cut(lookup.name[:], []byte{0})
		below, tree = path.Join(string(dir), parent.name, below), parent.tree
	}
	return "", fmt.Errorf("%s: subvolume %d is in more than %d others", fs.Name(), id, maxNesting)
}

// subvolumeName is a name of a subvolume, in a directory of another one.
type subvolumeName struct {
	tree, dir uint64
	name      string
}

// subvolumeParent returns the zero value for a subvolume that is in no directory.
func subvolumeParent(fs *os.File, tree uint64) (subvolumeName, error) {
	ref, parent, err := findOffset(fs, rootTree, tree, rootBackrefKey, 0, ^uint64(0))
	if err != nil || len(ref) < rootRefSize {
		return subvolumeName{}, err
	}
	length := binary.LittleEndian.Uint16(ref[rootRefSize-2:])
	return subvolumeName{tree: parent, dir: field(ref, 0), name: string(ref[rootRefSize:][:length])}, nil
}
