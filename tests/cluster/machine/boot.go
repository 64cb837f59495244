package machine

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// bootVerb is the first argument of a machine's first process, its folder the second.
const bootVerb = "boot-machine"

// The first process says locked when it holds the machine's lock, so that it can be found, and ready when the machine
// is up. Anything else is why it is not.
const (
	locked = "locked"
	ready  = "ready"
)

// IsBoot reports whether the arguments of this process make it a machine's first process.
func IsBoot(args []string) bool { return len(args) == 3 && args[1] == bootVerb }

// Boot is the life of a machine's first process: it returns only if the machine cannot come up. It must be called on the main thread, which must be locked:
// the cgroup namespace is that thread's, and whatever it starts inherits it.
func Boot(dir string) error {
	lock, goAhead, answer := os.NewFile(3, "lock"), os.NewFile(4, "go"), os.NewFile(5, "answer")
	for _, f := range []*os.File{lock, goAhead, answer} {
		unix.CloseOnExec(int(f.Fd()))
	}
	m := Machine{Dir: dir}
	daemons, err := m.boot(lock, goAhead, answer)
	if err != nil {
		fmt.Fprintln(answer, err)
		return err
	}
	fmt.Fprintln(answer, ready)
	answer.Close()
	say("%s is up", m.Name())
	supervise(daemons)
	runtime.KeepAlive(lock) // closing it would let the lock go
	return nil
}

func (m Machine) boot(lock, goAhead, answer *os.File) ([]Daemon, error) {
	if err := unix.FcntlFlock(lock.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		return nil, fmt.Errorf("the machine runs already: %w", err)
	}
	fmt.Fprintln(answer, locked)
	spec, err := m.spec()
	if err != nil {
		return nil, err
	}
	// Whoever starts us plugs the network in. If they die before, the pipe ends without a word, and nothing was done yet.
	if word, err := io.ReadAll(io.LimitReader(goAhead, 2)); err != nil || len(word) == 0 {
		return nil, fmt.Errorf("the one who started the machine went away: %v", err)
	}
	goAhead.Close()

	if err := unix.Sethostname([]byte(spec.Name)); err != nil {
		return nil, fmt.Errorf("set host name %s: %w", spec.Name, err)
	}
	hierarchies, err := findHierarchies()
	if err != nil {
		return nil, err
	}
	if err := enterCgroups(hierarchies, spec.Cgroup); err != nil {
		return nil, err
	}
	if err := m.mount(hierarchies); err != nil {
		return nil, err
	}
	if err := network(spec.Network); err != nil {
		return nil, err
	}
	return spec.Daemons, nil
}

// network lets the machine forward packets, as every machine with pods on it must, and sets its addresses and routes.
func network(commands []string) error {
	const forward = "/proc/sys/net/ipv4/ip_forward"
	if err := os.WriteFile(forward, []byte("1"), 0); err != nil {
		return fmt.Errorf("let the machine forward packets: %w", err)
	}
	for _, args := range commands {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
