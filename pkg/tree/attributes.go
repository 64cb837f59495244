package tree

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
)

// attributed is something that has extended attributes, ACLs among them.
type attributed struct {
	path   string // for messages
	list   func(buffer []byte) (int, error)
	get    func(name string, buffer []byte) (int, error)
	set    func(name string, value []byte) error
	remove func(name string) error
}

func ofFile(f *os.File) attributed {
	fd := int(f.Fd())
	return attributed{
		path:   f.Name(),
		list:   func(buffer []byte) (int, error) { return unix.Flistxattr(fd, buffer) },
		get:    func(name string, buffer []byte) (int, error) { return unix.Fgetxattr(fd, name, buffer) },
		set:    func(name string, value []byte) error { return unix.Fsetxattr(fd, name, value, 0) },
		remove: func(name string) error { return unix.Fremovexattr(fd, name) },
	}
}

// ofLooked is for what is open with O_PATH, to be read alone: fgetxattr(2) refuses it, and
// its path in /proc leads to it, also to a symbolic link.
func ofLooked(f *os.File) attributed {
	path := dir.ProcPath(int(f.Fd()))
	return attributed{
		path: f.Name(),
		list: func(buffer []byte) (int, error) { return unix.Listxattr(path, buffer) },
		get:  func(name string, buffer []byte) (int, error) { return unix.Getxattr(path, name, buffer) },
	}
}

// ofEntry is for what is not opened: these calls take paths, and do not follow the last
// component.
func ofEntry(d *dir.Dir, name string) attributed {
	path := dir.ProcPath(d.FD()) + "/" + name
	return attributed{
		path:   d.Path(name),
		list:   func(buffer []byte) (int, error) { return unix.Llistxattr(path, buffer) },
		get:    func(name string, buffer []byte) (int, error) { return unix.Lgetxattr(path, name, buffer) },
		set:    func(name string, value []byte) error { return unix.Lsetxattr(path, name, value, 0) },
		remove: func(name string) error { return unix.Lremovexattr(path, name) },
	}
}

const (
	maxList  = 64 << 10 // XATTR_LIST_MAX
	maxValue = 64 << 10 // XATTR_SIZE_MAX
)

// all returns those attributes that are a file's own, whatever filesystem it is on.
func (a attributed) all() (map[string][]byte, error) {
	n, err := a.list(nil)
	if n == 0 && err == nil || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	buffer := make([]byte, maxList)
	if err == nil {
		n, err = a.list(buffer)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: its extended attributes cannot be listed: %w", a.path, err)
	}
	values := map[string][]byte{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buffer[:n]), "\x00"), "\x00") {
		if !portable(name) {
			continue
		}
		value := make([]byte, maxValue)
		n, err := a.get(name, value)
		if errors.Is(err, unix.ENODATA) { // removed since it was listed
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: its extended attribute %s cannot be read: %w", a.path, name, err)
		}
		values[name] = bytes.Clone(value[:n])
	}
	return values, nil
}

func portable(name string) bool {
	return slices.ContainsFunc([]string{"user.", "security.", "trusted.", "system.posix_acl_"}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

// copyAttributes gives to the attributes of from, and takes away others that it has.
func copyAttributes(from, to attributed) error {
	want, err := from.all()
	if err != nil {
		return err
	}
	has, err := to.all()
	if err != nil {
		return err
	}
	for name, value := range want {
		if old, ok := has[name]; ok && bytes.Equal(old, value) {
			continue
		}
		if err := to.set(name, value); err != nil {
			return fmt.Errorf("%s cannot have the extended attribute %s of %s: %w", to.path, name, from.path, err)
		}
	}
	for name := range has {
		if _, ok := want[name]; ok || name == seLinux {
			continue
		}
		if err := to.remove(name); err != nil {
			return fmt.Errorf("%s has an extended attribute %s that %s has not, and it cannot be removed: %w", to.path, name, from.path, err)
		}
	}
	return nil
}

// seLinux is the label that the kernel gives all that is made.
const seLinux = "security.selinux"

// sameAttributes says what differs, "" for nothing.
func sameAttributes(from, to attributed) (differs string, err error) {
	want, err := from.all()
	if err != nil {
		return "", err
	}
	has, err := to.all()
	if err != nil {
		return "", err
	}
	for name, value := range want {
		if other, ok := has[name]; !ok || !bytes.Equal(value, other) {
			return name, nil
		}
		delete(has, name)
	}
	for name := range has {
		if name != seLinux {
			return name, nil
		}
	}
	return "", nil
}
