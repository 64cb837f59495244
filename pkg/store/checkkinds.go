package store

// Kind says in one word what is wrong. The words stay: scripts go by them. Each
// is explained in docs/reference/commands.md.
type Kind string

const (
	// ConfigRefused: the configuration file is not in force.
	ConfigRefused Kind = "ConfigRefused"
	// DiskUnusable: a disk serves nothing.
	DiskUnusable Kind = "DiskUnusable"
	// ReadOnly: a disk's filesystem takes no writes.
	ReadOnly Kind = "ReadOnly"
	// NoInodes: a disk's filesystem has no room for another file.
	NoInodes Kind = "NoInodes"
	// DirectoryMissing: one of hostdir's own directories is gone.
	DirectoryMissing Kind = "DirectoryMissing"
	// WrongMode: something that must be root's alone is not.
	WrongMode Kind = "WrongMode"
	// ForeignFile: something that hostdir did not make.
	ForeignFile Kind = "ForeignFile"
	// Leftover: a file that a crash left while another was replaced.
	Leftover Kind = "Leftover"
	// HalfBuilt: a volume or snapshot that no call is building any more.
	HalfBuilt Kind = "HalfBuilt"
	// ImportUnfinished: a directory that was to become a volume and is not one yet.
	ImportUnfinished Kind = "ImportUnfinished"
	// Quarantined: a volume or snapshot whose record cannot be used.
	Quarantined Kind = "Quarantined"
	// DataMissing: a volume or snapshot without its data directory.
	DataMissing Kind = "DataMissing"
	// SubvolumeLeftBehind: a btrfs subvolume that a snapshot or a copy of the disk left behind.
	SubvolumeLeftBehind Kind = "SubvolumeLeftBehind"
	// UnknownVolume: a volume on disk that the plugin does not know.
	UnknownVolume Kind = "UnknownVolume"
	// MissingVolume: a volume that the plugin knows and that is gone.
	MissingVolume Kind = "MissingVolume"
	// MissingSnapshot: a snapshot that the plugin knows and that is gone.
	MissingSnapshot Kind = "MissingSnapshot"
	// StaleMemory: the plugin knows a volume or snapshot otherwise than its record says.
	StaleMemory Kind = "StaleMemory"
	// TwinVolume: two disks have a volume of one name.
	TwinVolume Kind = "TwinVolume"
	// LimitUnsupported: a volume was made with a quota that its filesystem does
	// not keep.
	LimitUnsupported Kind = "LimitUnsupported"
	// LimitNotInForce: the limit is gone, or not the record's.
	LimitNotInForce Kind = "LimitNotInForce"
	// SharedLimit: two volumes are held to one limit.
	SharedLimit Kind = "SharedLimit"
	// WrongLink: a link under claims/ that shows the wrong volume, or none.
	WrongLink Kind = "WrongLink"
	// OrphanMount: a mount whose volume is gone.
	OrphanMount Kind = "OrphanMount"
	// MountInside: a mount in a disk's directory.
	MountInside Kind = "MountInside"
	// UnsafeMount: a volume mounted without nosuid and nodev.
	UnsafeMount Kind = "UnsafeMount"
	// TrashStuck: a deleted volume that cannot be removed.
	TrashStuck Kind = "TrashStuck"
	// TrashUnreadable: a deleted volume that cannot be brought back, nor goes.
	TrashUnreadable Kind = "TrashUnreadable"
	// Unreadable: something could not be looked at.
	Unreadable Kind = "Unreadable"
	// Busy: a call has a volume in hand for too long.
	Busy Kind = "Busy"
	// TooMany: the report is not complete.
	TooMany Kind = "TooMany"
)
