package disk

import (
	"errors"
	"fmt"
)

// Reason is the kind of reason for which a disk is not used.
type Reason string

const (
	// Absent: what was there is not now, because a disk is not mounted.
	Absent Reason = "absent"
	// Exchanged: another disk is there, which this node does not know.
	Exchanged Reason = "exchanged"
	// Copied: it is a copy of a disk, or has one, and nobody has said which of
	// them is right.
	Copied Reason = "copied"
	// Owned: another hostdir uses it, or one on another node has used it last.
	Owned Reason = "owned"
	// Faulty: anything else. It holds other files, its marker is damaged, it
	// cannot be read.
	Faulty Reason = "faulty"
	// Pending: it has not been looked at yet, or is being read.
	Pending Reason = "pending"
	// Unresponsive: a system call on it does not return.
	Unresponsive Reason = "unresponsive"
)

// refusal is an error and its reason.
type refusal struct {
	reason Reason
	error
}

func (r *refusal) Unwrap() error { return r.error }

// Refuse returns an error for a disk that is not used, and why.
func Refuse(reason Reason, format string, args ...any) error {
	return &refusal{reason, fmt.Errorf(format, args...)}
}

// ReasonOf returns the reason of an error, Faulty if it has none, "" for nil.
func ReasonOf(err error) Reason {
	var r *refusal
	switch {
	case err == nil:
		return ""
	case errors.As(err, &r):
		return r.reason
	default:
		return Faulty
	}
}
