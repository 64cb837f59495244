package machine

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// EnterNetwork moves this process into the machine's network for good; files and processes stay the host's. It must
// be called on the main thread, which must be locked: threads have namespaces, and what this one starts inherits its.
func (m Machine) EnterNetwork() error {
	pid, err := m.mustRun()
	if err != nil {
		return err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network of %s: %w", m.Name(), err)
	}
	return nil
}

// Exec replaces this process by a command inside the machine, in all its namespaces.
func (m Machine) Exec(args []string) error {
	pid, err := m.mustRun()
	if err != nil {
		return err
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	return syscall.Exec(nsenter, append([]string{"nsenter", "--target", strconv.Itoa(pid),
		"--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"}, args...), os.Environ())
}

// InNetwork is a command that runs in the machine's network and is otherwise the host's.
func (m Machine) InNetwork(name string, args ...string) (*exec.Cmd, error) {
	pid, err := m.mustRun()
	if err != nil {
		return nil, err
	}
	return exec.Command("nsenter", append([]string{"--target", strconv.Itoa(pid), "--net", "--", name}, args...)...), nil
}

// Path is the path by which the host reaches a file of the running machine, also one that exists only while it runs.
func (m Machine) Path(file string) (string, error) {
	pid, err := m.mustRun()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("/proc/%d/root%s", pid, file), nil
}

func (m Machine) mustRun() (int, error) {
	pid, err := m.PID()
	if err == nil && pid == 0 {
		err = fmt.Errorf("machine %s does not run", m.Name())
	}
	return pid, err
}
