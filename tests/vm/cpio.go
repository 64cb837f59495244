package vm

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// archive writes the format that the kernel unpacks at boot: cpio's "newc"
// (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	out io.Writer
	has map[string]bool
}

// Types of files: inode(7).
const (
	regular   = 0o100000
	directory = 0o040000
)

// add adds a file and the folders that it needs.
func (a *archive) add(name string, mode uint32, content []byte) error {
	if a.has[name] {
		return fmt.Errorf("there are two files for %s", name)
	}
	if parent := path.Dir(name); parent != "/" && !a.has[parent] {
		if err := a.add(parent, directory|0o755, nil); err != nil {
			return err
		}
	}
	a.has[name] = true
	return a.write(strings.TrimPrefix(name, "/"), mode, content)
}

// end closes the archive: the kernel reads until this name.
func (a *archive) end() error { return a.write("TRAILER!!!", 0, nil) }

func (a *archive) write(name string, mode uint32, content []byte) error {
	const links = 1
	// magic, inode, mode, uid, gid, links, mtime, size, device (2), special device (2), length of the name, checksum
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		len(a.has), mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
	head := header + name + "\x00"
	for _, part := range []string{head, padding(len(head)), string(content), padding(len(content))} {
		if _, err := io.WriteString(a.out, part); err != nil {
			return err
		}
	}
	return nil
}

// padding fills up to a multiple of four bytes.
func padding(length int) string { return "\x00\x00\x00"[:-length&3] }
