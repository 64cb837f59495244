package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// unseen is what could not be looked at.
type unseen []lack

// lack is one thing of it.
type lack struct {
	What string `json:"what"`
	Why  string `json:"why"`
	// Forbidden says that the person has not the right.
	Forbidden bool `json:"forbidden"`
}

// add notes an error, if it is one. What is forbidden is noted once.
func (u *unseen) add(what string, err error) {
	if err == nil {
		return
	}
	l := lack{what, err.Error(), isForbidden(err)}
	if l.Forbidden && slices.ContainsFunc(*u, func(before lack) bool { return before.Forbidden && before.What == what }) {
		return
	}
	*u = append(*u, l)
}

// isForbidden also knows the words: an exec that is refused does not always come as
// the API server's own error.
func isForbidden(err error) bool {
	return apierrors.IsForbidden(err) || strings.Contains(err.Error(), "is forbidden") || strings.Contains(err.Error(), "cannot create resource \"pods/exec\"")
}

// write says it to a person.
func (u unseen) write(w io.Writer) {
	for _, l := range u {
		because := l.Why
		if l.Forbidden {
			because = "you may not (" + because + ")"
		}
		fmt.Fprintf(w, "Could not look at %s: %s\n", l.What, because)
	}
}

// failure is an error, told already, if something failed that is not just forbidden.
func (u unseen) failure() error {
	for _, l := range u {
		if !l.Forbidden {
			return &statusError{Unknown, errors.New("not everything is shown")}
		}
	}
	return nil
}
