package dir

import (
	"encoding/hex"
	"fmt"

	"golang.org/x/sys/unix"
)

// Identity returns what no other directory of this machine has, nor has had, also after
// a reboot: the filesystem's, and the handle of the directory's inode, which has its
// generation. A filesystem without handles has the number of the inode in its place.
func (d *Dir) Identity() (string, error) {
	filesystem, err := d.Filesystem()
	if err != nil {
		return "", err
	}
	handle, _, err := unix.NameToHandleAt(d.FD(), "", unix.AT_EMPTY_PATH)
	if err == nil {
		return fmt.Sprintf("%s handle %d:%s", filesystem, handle.Type(), hex.EncodeToString(handle.Bytes())), nil
	}
	inode, err := d.Inode()
	return fmt.Sprintf("%s inode %d", filesystem, inode.Number), err
}
