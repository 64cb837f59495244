package quota

// What the kernel's headers call these, and the manual page that explains them.

const (
	projectQuota = 2 // PRJQUOTA, quotactl(2)

	// Commands of quotactl(2). The first two are translated by the kernel for
	// every filesystem, XFS included (Linux 3.19).
	getQuota = 0x800007 // Q_GETQUOTA
	setQuota = 0x800008 // Q_SETQUOTA
	getState = 0x5808   // Q_XGETQSTATV

	quotaBlock = 1 << 10 // QIF_DQBLKSIZE: the unit of limits in bytes

	// qs_flags of struct fs_quota_statv, <linux/dqblk_xfs.h>.
	stateCounted  = 1 << 4 // FS_QUOTA_PDQ_ACCT
	stateEnforced = 1 << 5 // FS_QUOTA_PDQ_ENFD

	// Fields of struct if_dqblk that are valid.
	validLimits = 1 | 4 // QIF_BLIMITS | QIF_ILIMITS

	getAttributes = 0x801c581f // FS_IOC_FSGETXATTR, ioctl_xfs_fsgetxattr(2)
	setAttributes = 0x401c5820 // FS_IOC_FSSETXATTR
	inheritID     = 0x200      // FS_XFLAG_PROJINHERIT
)

// diskQuota is struct if_dqblk of quotactl(2).
type diskQuota struct {
	hardBlocks, softBlocks uint64
	usedBytes              uint64
	hardInodes, softInodes uint64
	usedInodes             uint64
	_                      [2]uint64
	valid                  uint32
	_                      uint32
}

// quotaState is struct fs_quota_statv of <linux/dqblk_xfs.h>.
type quotaState struct {
	version int8 // FS_QSTATV_VERSION1, asked for
	_       uint8
	flags   uint16
	_       [156]byte
}

// attributes is struct fsxattr of ioctl_xfs_fsgetxattr(2).
type attributes struct {
	flags   uint32
	_, _    uint32
	project uint32
	_       uint32
	_       [8]byte
}
