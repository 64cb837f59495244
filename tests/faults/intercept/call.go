package intercept

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// Call is a system call that is about to happen.
type Call struct {
	// Name is the call's, "renameat2", with what distinguishes calls of that name,
	// "ioctl 0x5000940e".
	Name string
	// Known reports whether the package knows what the call does. Of one that it
	// does not know, only the number is known, in Name.
	Known bool
	// Paths are the files that the call works on, in the order of its
	// arguments: absolute paths, or what the kernel calls things that have
	// none, such as "socket:[4711]".
	Paths []string
}

func (c Call) String() string { return strings.TrimSpace(c.Name + " " + strings.Join(c.Paths, " ")) }

func (n notification) call() Call {
	f, ok := known[n.number]
	if !ok {
		return Call{Name: fmt.Sprintf("system call %d", n.number)}
	}
	c := Call{Name: f.name, Known: true}
	if f.number != 0 {
		c.Name += fmt.Sprintf(" %#x", uint32(n.args[f.number-1]))
	}
	for _, o := range f.operands {
		c.Paths = append(c.Paths, n.path(o))
	}
	return c
}

// path is the file that an operand names. A symbolic link that the call follows
// is not followed here, except for the kernel's names of open files.
func (n notification) path(o operand) string {
	var name string
	if o.path != none {
		var alive bool
		if name, alive = n.text(n.args[o.path]); !alive {
			return "closed:memory" // the call of a thread that was killed meanwhile
		}
	}
	if !filepath.IsAbs(name) {
		link := "cwd"
		if o.descriptor != none && int32(n.args[o.descriptor]) != unix.AT_FDCWD {
			link = fmt.Sprintf("fd/%d", int32(n.args[o.descriptor]))
		}
		name = filepath.Join(n.link(link), name)
	}
	if found := openFile.FindStringSubmatch(name); found != nil {
		name = filepath.Join(n.link(found[1]), found[2])
	}
	return name
}

// openFile matches the kernel's name of an open file, and a path below it.
var openFile = regexp.MustCompile(`^/proc/self/(fd/\d+)(/.*)?$`)

// link reads a link that the kernel keeps for the thread.
func (n notification) link(name string) string {
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", n.thread, name))
	if err != nil {
		return "closed:" + name
	}
	return target
}

// text reads a string from the program's memory, if the program still has one.
func (n notification) text(address uint64) (s string, alive bool) {
	if address == 0 {
		return "", true
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", n.thread))
	if err != nil {
		return "", false
	}
	defer memory.Close()
	buf := make([]byte, unix.PathMax)
	read, _ := memory.ReadAt(buf, int64(address)) // less at the end of the mapped memory
	if end := bytes.IndexByte(buf[:read], 0); end >= 0 {
		read = end
	}
	return string(buf[:read]), read > 0
}
