package machine

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// running is a daemon and its life so far.
type running struct {
	Daemon
	pid     int
	started time.Time
}

// supervise starts the daemons, each as soon as what it waits for is there, and again whenever one ends; it also
// buries the orphans of the machine, as a first process must. It never returns.
func supervise(daemons []Daemon) {
	all := make([]*running, len(daemons))
	for i, d := range daemons {
		all[i] = &running{Daemon: d}
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	for {
		bury(all)
		if startWaiting(all) {
			<-ended
			continue
		}
		select {
		case <-ended:
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// bury takes note of every process that has ended.
func bury(all []*running) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if pid <= 0 && err != syscall.EINTR {
			return
		}
		for _, r := range all {
			if r.pid == pid {
				say("%s ended (%s) after %s", r.Name, describe(status), time.Since(r.started).Round(time.Millisecond))
				r.pid = 0
			}
		}
	}
}

// startWaiting starts every daemon that can be started, and reports whether all run now.
func startWaiting(all []*running) bool {
	complete := true
	for _, r := range all {
		if r.pid != 0 {
			continue
		}
		// One that fails at once is not started more often than once a second.
		if time.Since(r.started) < time.Second || !answers(r.After) {
			complete = false
			continue
		}
		r.started = time.Now()
		pid, err := start(r.Daemon)
		if err != nil {
			say("start %s: %v", r.Name, err)
			complete = false
			continue
		}
		say("started %s", r.Name)
		r.pid = pid
	}
	return complete
}

func answers(address string) bool {
	if address == "" {
		return true
	}
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func start(d Daemon) (pid int, err error) {
	log, err := os.OpenFile(filepath.Join("/var/log", d.Name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd := exec.Command(d.Args[0], d.Args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, nil
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// say writes to the machine's boot.log.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stdout, "%s %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}
