// Package machine makes groups of processes that behave like computers of their own, each with its own
// processes, network, mounts, host name and cgroups.
//
// A machine hangs on one process, its first: the init of its PID namespace. Kill it and the kernel ends every
// other process of the machine, and with the last of them go the mounts and the network: a power cut. What a
// machine keeps is its folder:
//
//	machine.json   what it runs
//	lock           held by its first process, which is how it is found again, by the kernel's own account
//	boot.log       what the first process says
//	root/          its files: root/var/lib is its /var/lib
package machine

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Folders are the machine's own; everything else it sees is the host's. /var/lib is the last to be mounted, because
// it hides the machine's folder.
var Folders = []string{"/mnt", "/var/log", "/var/lib"}

// A Spec says what a machine is.
type Spec struct {
	// Name is its host name.
	Name string
	// Cgroup is the path of its cgroups in every hierarchy.
	Cgroup string
	// Network are the arguments of the ip commands that set its network up once it is plugged in.
	Network []string
	// Daemons run for as long as the machine does.
	Daemons []Daemon
}

// A Daemon is a program that is started again whenever it ends. Its output goes to /var/log/NAME.log.
type Daemon struct {
	Name string
	Args []string
	// After is an address that must take connections before the daemon starts.
	After string `json:",omitempty"`
}

// A Machine is known by its folder.
type Machine struct{ Dir string }

// Name is the name of the machine.
func (m Machine) Name() string { return filepath.Base(m.Dir) }

// Root is where the machine's files are, seen from the host.
func (m Machine) Root() string { return filepath.Join(m.Dir, "root") }

func (m Machine) lockFile() string { return filepath.Join(m.Dir, "lock") }
func (m Machine) specFile() string { return filepath.Join(m.Dir, "machine.json") }
func (m Machine) bootLog() string  { return filepath.Join(m.Dir, "boot.log") }

// Create makes the machine's folder. It does not start it.
func (m Machine) Create(spec Spec) error {
	for _, folder := range Folders {
		if err := os.MkdirAll(filepath.Join(m.Root(), folder), 0o755); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(m.specFile(), text, 0o644); err != nil {
		return err
	}
	return os.WriteFile(m.lockFile(), nil, 0o644)
}

func (m Machine) spec() (Spec, error) {
	var spec Spec
	text, err := os.ReadFile(m.specFile())
	if err != nil {
		return spec, err
	}
	if err := json.Unmarshal(text, &spec); err != nil {
		return spec, fmt.Errorf("read %s: %w", m.specFile(), err)
	}
	return spec, nil
}

// PID is the machine's first process, 0 when it does not run.
func (m Machine) PID() (int, error) {
	f, err := os.OpenFile(m.lockFile(), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil {
		return 0, fmt.Errorf("ask who holds %s: %w", m.lockFile(), err)
	}
	if lock.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(lock.Pid), nil
}

// Start starts the machine. plug is called with its first process, and plugs the network in.
func (m Machine) Start(plug func(pid int) error) error {
	if err := os.MkdirAll(m.Dir, 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(m.lockFile(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer lock.Close()
	log, err := os.OpenFile(m.bootLog(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	goRead, goWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	defer goWrite.Close()
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	defer readyRead.Close()

	cmd := exec.Command("/proc/self/exe", bootVerb, m.Dir)
	cmd.Env = []string{"HOME=/root", "PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock, goRead, readyWrite}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	err = cmd.Start()
	goRead.Close()
	readyWrite.Close()
	if err != nil {
		return fmt.Errorf("start machine %s: %w", m.Name(), err)
	}
	go cmd.Wait() // so that it leaves no zombie while this process lives

	answers := bufio.NewReader(readyRead)
	if err := m.expect(answers, locked); err != nil {
		return err
	}
	if err := plug(cmd.Process.Pid); err != nil {
		return fmt.Errorf("plug %s into the network: %w", m.Name(), err)
	}
	if _, err := goWrite.Write([]byte("go")); err != nil {
		return fmt.Errorf("start machine %s: %w (see %s)", m.Name(), err, m.bootLog())
	}
	return m.expect(answers, ready)
}

// expect reads the next line that the first process says.
func (m Machine) expect(answers *bufio.Reader, word string) error {
	answer, err := answers.ReadString('\n')
	if answer = strings.TrimSpace(answer); answer == word {
		return nil
	}
	if answer == "" {
		answer = fmt.Sprintf("its first process ended without a word (%v)", err)
	}
	return fmt.Errorf("start machine %s: %s (see %s)", m.Name(), answer, m.bootLog())
}

// Stop ends the machine at once, as a power cut does, and returns when nothing of it is left but its files.
func (m Machine) Stop() error {
	pid, err := m.PID()
	if err != nil {
		return err
	}
	if pid != 0 {
		if err := m.kill(pid); err != nil {
			return fmt.Errorf("stop machine %s: %w", m.Name(), err)
		}
	}
	spec, err := m.spec()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return removeCgroups(spec.Cgroup)
}

// kill ends the first process. The kernel lets it go only after every other process of its PID namespace.
func (m Machine) kill(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	// The number may have been given to another process between the two calls: only the holder of the lock is ours.
	if again, err := m.PID(); err != nil || again != pid {
		return err
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	const patience = 30 * time.Second
	for deadline := time.Now().Add(patience); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
		switch {
		case n > 0:
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("wait for process %d: %w", pid, err)
		case time.Now().After(deadline):
			return fmt.Errorf("process %d was killed but did not end within %s: some process of the machine hangs in the kernel", pid, patience)
		}
	}
}

// Restart kills one daemon; its machine starts it again. It returns when the new process runs.
func (m Machine) Restart(daemon string) error {
	old, err := m.daemonPID(daemon)
	if err != nil {
		return err
	}
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s (process %d): %w", daemon, old, err)
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if pid, err := m.daemonPID(daemon); err == nil && pid != old {
			return nil
		}
	}
	return fmt.Errorf("%s of %s did not start again: see %s", daemon, m.Name(), m.bootLog())
}

// daemonPID is the process of a daemon: the child of the machine's first process that has its name.
func (m Machine) daemonPID(daemon string) (int, error) {
	first, err := m.PID()
	if err != nil {
		return 0, err
	}
	if first == 0 {
		return 0, fmt.Errorf("machine %s does not run", m.Name())
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", first, first))
	if err != nil {
		return 0, err
	}
	for _, child := range strings.Fields(string(children)) {
		args, err := os.ReadFile("/proc/" + child + "/cmdline")
		if err != nil { // it ended meanwhile
			continue
		}
		program, _, _ := strings.Cut(string(args), "\x00")
		if filepath.Base(program) == daemon {
			var pid int
			_, err := fmt.Sscan(child, &pid)
			return pid, err
		}
	}
	return 0, fmt.Errorf("%s does not run on %s: see %s", daemon, m.Name(), m.bootLog())
}
