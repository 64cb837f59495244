// Package errdefs names the classes of errors that hostdir's packages return.
//
// A class says what a caller may do about an error, not where it happened:
// every package wraps one of these with its own words, and pkg/driver turns
// them into gRPC codes in one table. An error of no class is a bug or a broken
// machine.
package errdefs

import "errors"

var (
	// ErrInvalid is returned for a request that no retry can mend.
	ErrInvalid = errors.New("invalid")

	// ErrNotFound is returned for a volume, or a path of one, that does not
	// exist although its disk is healthy.
	ErrNotFound = errors.New("not found")

	// ErrConflict is returned for something that exists, but not as asked:
	// a volume of the same name with another size, a target path that is
	// already mounted otherwise.
	ErrConflict = errors.New("exists, but differs")

	// ErrOutOfRange is returned for a size that no disk could ever satisfy.
	ErrOutOfRange = errors.New("out of range")

	// ErrNoSpace is returned when this node cannot take a new volume now,
	// while another node may: a pool that is full, read-only, absent or not
	// configured here. Nothing was left behind.
	ErrNoSpace = errors.New("no room on this node")

	// ErrInUse is returned when deleting a volume that is still published, or
	// publishing one a second time that allows a single writer.
	ErrInUse = errors.New("in use")

	// ErrWrongNode is returned for a well-formed volume ID whose disk is not
	// on this node.
	ErrWrongNode = errors.New("not on this node")

	// ErrBusy is returned while another call works on the same volume.
	ErrBusy = errors.New("busy")

	// ErrUnavailable is returned for a volume whose disk cannot be used now, such
	// as one that is not mounted or does not answer.
	ErrUnavailable = errors.New("disk unavailable")
)
