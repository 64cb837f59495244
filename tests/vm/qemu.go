package vm

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is a running QEMU.
type process struct {
	cmd     *exec.Cmd
	console *console
	ended   chan struct{} // closed when it has ended
}

// drive is a disk as QEMU sees it.
type drive struct {
	name  string
	image *os.File
}

// startQEMU starts a machine with these files, which it inherits: they need no names.
func startQEMU(kernel string, initramfs *os.File, drives []drive, port *os.File, memory int, out io.Writer) (*process, error) {
	var inherited []*os.File
	inherit := func(f *os.File) (number string) {
		inherited = append(inherited, f)
		return strconv.Itoa(2 + len(inherited))
	}
	args := []string{
		"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", strconv.Itoa(memory),
		"-nodefaults", "-no-user-config", "-display", "none",
		"-kernel", kernel, "-initrd", "/proc/self/fd/" + inherit(initramfs),
		// A panic asks for a reboot at once, and that is the end of QEMU.
		"-no-reboot", "-append", "console=ttyS0 quiet panic=-1 oops=panic mitigations=off nokaslr random.trust_cpu=on",
		"-serial", "stdio",
		"-chardev", "socket,id=port,fd=" + inherit(port), "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port",
	}
	for _, d := range drives {
		args = append(args,
			"-drive", "if=none,format=raw,cache=unsafe,id="+d.name+",file=/proc/self/fd/"+inherit(d.image),
			"-device", "virtio-blk-pci,drive="+d.name+",serial="+d.name)
	}

	return watch(exec.Command("qemu-system-x86_64", args...), inherited, out)
}

// watch starts a process that ends with this one.
func watch(cmd *exec.Cmd, inherited []*os.File, out io.Writer) (*process, error) {
	p := &process{cmd, &console{out: out}, make(chan struct{})}
	p.cmd.ExtraFiles = inherited
	p.cmd.Stdout, p.cmd.Stderr = p.console, p.console
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (tests/packages installs it)", err)
	}
	go func() {
		p.cmd.Wait() // whatever it had to say is on the console
		close(p.ended)
	}()
	return p, nil
}

// kill ends QEMU if it has not ended.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// socketPair makes a connection of which QEMU inherits the other end.
func socketPair() (ours net.Conn, theirs *os.File, err error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs = os.NewFile(uintptr(ends[1]), "port")
	f := os.NewFile(uintptr(ends[0]), "port")
	defer f.Close() // FileConn has made a copy
	ours, err = net.FileConn(f)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// console passes on what the machine's kernel and QEMU say, and keeps it for errors.
type console struct {
	out io.Writer

	mu  sync.Mutex // guards all
	all bytes.Buffer
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.all.Write(p)
	c.mu.Unlock()
	return c.out.Write(p)
}

// tail is the end of what was said.
func (c *console) tail() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(c.all.String(), "\r", "")), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}
