// Package store keeps volumes on disks: their records, the room that they take and
// the trash. It knows nothing of CSI, gRPC or of how a volume reaches a pod.
//
// A pool is a name for one or more disks. A disk is a directory that holds a
// marker, disk.json (package disk), whose UUID is part of the ID of every volume on
// it:
//
//	<disk>/disk.json                    the marker
//	<disk>/volumes/<name>/volume.json   the record of a volume
//	<disk>/volumes/<name>/data/         what the pod sees
//	<disk>/trash/                       deleted volumes until they are purged
//	<disk>/claims/<namespace>/<claim>   a link to the data, for people only
//
// A volume is built aside, synced and renamed into place: the rename is the commit.
// It is deleted by a rename into the trash, which is purged in the background.
// There is no index on disk: what the store knows is what it finds when it takes a
// disk into use.
//
// Each path of the configuration is a slot, with a goroutine that looks at it and
// takes its disk into use. A disk in use has a diskState: its volumes, its room, its
// trash, the calls at work on it, and goroutines that count and purge. Nothing waits
// for a disk but calls for that disk, and these not for ever: see calls.go. What
// only asks is answered from memory.
//
// Where the filesystem can (package quota), a volume's capacity is enforced, and
// the record says how. Room is allocated under one lock, in memory, so that claims
// never get more of it than there is: see room.go.
//
// Nothing is written to a disk whose marker does not match, so one that is not
// mounted, or another one in its place, is never mistaken for it. Everything on a
// disk is reached through descriptors that live for one call, without following
// symbolic links or crossing mounts.
package store
