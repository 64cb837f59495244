// Package store keeps volumes on disk: pools, their base directories, the
// records of volumes, capacity and the trash. It knows nothing of CSI, gRPC or
// of how a volume reaches a pod.
//
// A pool is a name for one or more base directories. A base directory belongs
// to hostdir once it holds a marker, pool.json, whose UUID is part of the ID of
// every volume in it:
//
//	<base>/pool.json                    the marker
//	<base>/volumes/<name>/volume.json   the record of a volume
//	<base>/volumes/<name>/data/         what the pod sees
//	<base>/trash/                       deleted volumes until they are purged
//	<base>/claims/<namespace>/<claim>   a link to the data, for people only
//
// A volume is built aside, synced and renamed into place: the rename is the
// commit. It is deleted by a rename into the trash, which is purged in the
// background. There is no index on disk: what the store knows is what a scan of
// the base directories finds at start.
//
// Where the filesystem can (package quota), a volume's capacity is enforced, and
// the record tells how. Room is promised under one lock, so that claims never
// get more of it than there is.
//
// Nothing is written below a base directory whose marker does not match, so a
// disk that is not mounted, or another disk in its place, is never mistaken for
// the pool. Everything in a base directory is reached through descriptors that
// live for one call, without following symbolic links or crossing mounts.
package store
