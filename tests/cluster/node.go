package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hostdir/hostdir/tests/cluster/kube"
)

// status prints the machines of the cluster. It fails when not all of them run and are ready.
func (c cluster) status() error {
	if err := c.mustExist(); err != nil {
		return err
	}
	all, err := c.machines()
	if err != nil {
		return err
	}
	ready, err := c.ready()
	if err != nil {
		say("cluster %s: %v", c.name, err)
	}
	up := err == nil
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "MACHINE\tSTATE\tFILES")
	for _, m := range all {
		pid, err := m.PID()
		if err != nil {
			return err
		}
		state := "ready"
		switch {
		case pid == 0:
			state, up = "stopped", false
		case m.Name() == kube.ControlPlane:
			state = "running"
		case !ready[m.Name()]:
			state, up = "not ready", false
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", m.Name(), state, m.Root())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if !up {
		return fmt.Errorf("cluster %s is not up", c.name)
	}
	return nil
}

func (c cluster) nodeDir(name string) error {
	node, err := c.worker(name)
	if err != nil {
		return err
	}
	fmt.Println(node.Root())
	return nil
}

// exec replaces this process by a command inside a node.
func (c cluster) exec(args []string) error {
	if len(args) > 1 && args[1] == "--" {
		args = append(args[:1], args[2:]...)
	}
	if len(args) < 2 {
		return errors.New("say which node, and which command to run in it")
	}
	node, err := c.worker(args[0])
	if err != nil {
		return err
	}
	return node.Exec(args[1:])
}

// restart kills a daemon of a node, and waits until it runs again and, where it is kubelet, answers.
func (c cluster) restart(daemon, name string) error {
	node, err := c.worker(name)
	if err != nil {
		return err
	}
	if err := node.Restart(daemon); err != nil {
		return err
	}
	if daemon == "kubelet" {
		if err := c.kubeletAnswers(name); err != nil {
			return err
		}
	}
	say("restarted %s of %s", daemon, name)
	return nil
}

// kubeletAnswers waits until the API server reaches the node's kubelet.
func (c cluster) kubeletAnswers(name string) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		kubectl, err := c.kubectl("get", "--raw", "/api/v1/nodes/"+name+"/proxy/healthz")
		if err != nil {
			return err
		}
		out, err := kubectl.CombinedOutput()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kubelet of %s does not answer: %w: %s", name, err, lastLine(out))
		}
	}
}

// stopNode ends a node as a power cut does: nothing hears of it, and nothing of it is left but its files.
func (c cluster) stopNode(name string) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	node, err := c.worker(name)
	if err != nil {
		return err
	}
	if err := node.Stop(); err != nil {
		return err
	}
	say("stopped %s", name)
	return nil
}

// startNode starts a node again and waits until it is ready.
func (c cluster) startNode(name string) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	node, err := c.worker(name)
	if err != nil {
		return err
	}
	if pid, err := node.PID(); err != nil || pid != 0 {
		say("%s runs already", name)
		return err
	}
	if err := c.start(node); err != nil {
		return err
	}
	if err := c.kubeletAnswers(name); err != nil {
		return err
	}
	// What Kubernetes says of the node may be from before it stopped, so kubelet was asked first.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if ready, err := c.ready(); err == nil && ready[name] {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s runs but is not ready: see %s/var/log", name, node.Root())
		}
	}
	say("started %s", name)
	return nil
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
