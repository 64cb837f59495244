package quota

import (
	"errors"
	"fmt"
	"os"
)

// none is for filesystems that limit nothing: Set keeps no promise there, and
// whoever needs one asks for the Kind first.
type none struct{}

// Unlimited limits nothing: it is what Detect returns where nothing else works.
var Unlimited Quota = none{}

func (none) Kind() Kind { return None }

func (none) Create(parent *os.File, name string, wish ID) (ID, error) {
	return wish, mkdir(parent, name)
}

func (none) Set(dir *os.File, id ID, limit Limit) error { return check(id, limit) }

func (none) Get(dir *os.File, id ID) (Limit, Usage, error) {
	if err := check(id, Limit{}); err != nil {
		return Limit{}, Usage{}, err
	}
	return Limit{}, Usage{}, fmt.Errorf("%s: use is not counted on this filesystem: %w", dir.Name(), errors.ErrUnsupported)
}

func (none) Used(fs *os.File, id ID) (bool, error) { return false, check(id, Limit{}) }

func (none) Remove(fs *os.File, id ID) error { return check(id, Limit{}) }
