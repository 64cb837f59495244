package store

import (
	"errors"
	"fmt"
)

// Refusal is the kind of reason for which a base directory is not used.
type Refusal string

const (
	// Absent says that what was there is not now: a disk is not mounted.
	Absent Refusal = "absent"
	// Exchanged says that another pool is there, which this node does not know.
	Exchanged Refusal = "exchanged"
	// Copied says that it is a copy of a pool, or has one, and that nobody has
	// said which of them is right.
	Copied Refusal = "copied"
	// Faulty says anything else: it holds other files, its marker is damaged,
	// the disk does not answer.
	Faulty Refusal = "faulty"
)

// refusedError is a reason and its kind.
type refusedError struct {
	kind Refusal
	error
}

func (e *refusedError) Unwrap() error { return e.error }

func refuse(kind Refusal, format string, args ...any) error {
	return &refusedError{kind, fmt.Errorf(format, args...)}
}

// refusalOf is the kind of an error, "" of none.
func refusalOf(err error) Refusal {
	var refused *refusedError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		return refused.kind
	default:
		return Faulty
	}
}
