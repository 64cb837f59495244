package quota

// Requests of ioctl(2), keys and flags that btrfs's quotas are made of:
// <linux/btrfs.h>, <linux/btrfs_tree.h>, btrfs-qgroup(8), btrfs-quota(8).
const (
	subvolumeCreate = 0x5000940e // BTRFS_IOC_SUBVOL_CREATE
	subvolumeRemove = 0x5000940f // BTRFS_IOC_SNAP_DESTROY
	syncAll         = 0x9408     // BTRFS_IOC_SYNC
	snapshotCreate  = 0x50009417 // BTRFS_IOC_SNAP_CREATE_V2
	subvolumesIn    = 0xd000943d // BTRFS_IOC_GET_SUBVOL_ROOTREF, Linux 4.18
	treeSearch      = 0xd0009411 // BTRFS_IOC_TREE_SEARCH
	inodeLookup     = 0xd0009412 // BTRFS_IOC_INO_LOOKUP
	groupAssign     = 0x40189429 // BTRFS_IOC_QGROUP_ASSIGN
	groupCreate     = 0x4010942a // BTRFS_IOC_QGROUP_CREATE
	groupLimit      = 0x8030942b // BTRFS_IOC_QGROUP_LIMIT
	rescanStatus    = 0x8040942d // BTRFS_IOC_QUOTA_RESCAN_STATUS
	rescanWait      = 0x942e     // BTRFS_IOC_QUOTA_RESCAN_WAIT

	rootTree  = 1 // BTRFS_ROOT_TREE_OBJECTID
	topTree   = 5 // BTRFS_FS_TREE_OBJECTID: the filesystem's top level
	quotaTree = 8 // BTRFS_QUOTA_TREE_OBJECTID

	rootKey        = 132 // BTRFS_ROOT_ITEM_KEY
	rootBackrefKey = 144 // BTRFS_ROOT_BACKREF_KEY: where a subvolume is
	quotaStatusKey = 240 // BTRFS_QGROUP_STATUS_KEY
	groupInfoKey   = 242 // BTRFS_QGROUP_INFO_KEY
	groupLimitKey  = 244 // BTRFS_QGROUP_LIMIT_KEY

	// subvolumeInode is the inode number of every subvolume's top directory.
	subvolumeInode = 256 // BTRFS_FIRST_FREE_OBJECTID

	// Flags of struct btrfs_qgroup_status_item.
	quotaOn           = 1 << 0 // BTRFS_QGROUP_STATUS_FLAG_ON
	quotaInconsistent = 1 << 2 // BTRFS_QGROUP_STATUS_FLAG_INCONSISTENT
	quotaSimple       = 1 << 3 // BTRFS_QGROUP_STATUS_FLAG_SIMPLE_MODE, Linux 6.7

	limitBytes = 1 << 0     // BTRFS_QGROUP_LIMIT_MAX_RFER
	noLimit    = ^uint64(0) // takes a limit away

	levelShift = 48 // BTRFS_QGROUP_LEVEL_SHIFT: a qgroup's level stands above
)

// volArgs is struct btrfs_ioctl_vol_args.
type volArgs struct {
	_    int64
	name [4088]byte
}

// snapshotArgs is struct btrfs_ioctl_vol_args_v2.
type snapshotArgs struct {
	source int64
	_      uint64
	flags  uint64
	_      [4]uint64
	name   [4040]byte
}

// readOnlySubvolume is BTRFS_SUBVOL_RDONLY.
const readOnlySubvolume = 1 << 1

// nestedArgs is struct btrfs_ioctl_get_subvol_rootref_args.
type nestedArgs struct {
	_     uint64
	_     [255][2]uint64
	found uint8
	_     [7]uint8
}

// lookupArgs is struct btrfs_ioctl_ino_lookup_args.
type lookupArgs struct {
	tree     uint64
	objectID uint64
	name     [4080]byte
}

// createArgs is struct btrfs_ioctl_qgroup_create_args.
type createArgs struct {
	create uint64 // 0: remove
	group  uint64
}

// assignArgs is struct btrfs_ioctl_qgroup_assign_args.
type assignArgs struct {
	assign        uint64
	member, group uint64
}

// limitArgs is struct btrfs_ioctl_qgroup_limit_args.
type limitArgs struct {
	group    uint64
	flags    uint64
	maxBytes uint64
	_        [3]uint64
}

// rescanArgs is struct btrfs_ioctl_quota_rescan_args.
type rescanArgs struct {
	running uint64
	_       [7]uint64
}

// searchArgs is struct btrfs_ioctl_search_args. It finds the items from the key
// (min*) to the key (max*), inclusive.
type searchArgs struct {
	tree                 uint64
	minObject, maxObject uint64
	minOffset, maxOffset uint64
	_, maxGeneration     uint64
	minType, maxType     uint32
	items                uint32 // wanted, then found
	_                    uint32
	_                    [4]uint64
	found                [3992]byte // struct btrfs_ioctl_search_header, then the item
}

// searchHeaderSize is the size of struct btrfs_ioctl_search_header: generation,
// object, offset; type and length.
const searchHeaderSize = 32

// rootRefSize is the size of struct btrfs_root_ref: directory, sequence, and in two
// bytes the length of the name that follows.
const rootRefSize = 18
