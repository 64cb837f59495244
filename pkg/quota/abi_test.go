package quota

import (
	"testing"
	"unsafe"
)

// TestLayout holds the structs to the sizes of the kernel's: its ioctl numbers
// contain them.
func TestLayout(t *testing.T) {
	ioctlSize := func(request uintptr) uintptr { return request >> 16 & (1<<14 - 1) }
	for _, test := range []struct {
		name      string
		got, want uintptr
	}{
		{"struct if_dqblk", unsafe.Sizeof(diskQuota{}), 72},
		{"struct fs_quota_statv", unsafe.Sizeof(quotaState{}), 160},
		{"struct fsxattr", unsafe.Sizeof(attributes{}), ioctlSize(setAttributes)},
		{"struct btrfs_ioctl_vol_args", unsafe.Sizeof(volArgs{}), ioctlSize(subvolumeCreate)},
		{"struct btrfs_ioctl_search_args", unsafe.Sizeof(searchArgs{}), ioctlSize(treeSearch)},
		{"struct btrfs_ioctl_ino_lookup_args", unsafe.Sizeof(lookupArgs{}), ioctlSize(inodeLookup)},
		{"struct btrfs_ioctl_qgroup_create_args", unsafe.Sizeof(createArgs{}), ioctlSize(groupCreate)},
		{"struct btrfs_ioctl_qgroup_assign_args", unsafe.Sizeof(assignArgs{}), ioctlSize(groupAssign)},
		{"struct btrfs_ioctl_qgroup_limit_args", unsafe.Sizeof(limitArgs{}), ioctlSize(groupLimit)},
		{"struct btrfs_ioctl_quota_rescan_args", unsafe.Sizeof(rescanArgs{}), ioctlSize(rescanStatus)},
		{"struct btrfs_ioctl_search_key", unsafe.Offsetof(searchArgs{}.found), 104},
	} {
		if test.got != test.want {
			t.Errorf("%s has %d bytes, want %d", test.name, test.got, test.want)
		}
	}
}
