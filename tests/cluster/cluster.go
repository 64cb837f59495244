package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostdir/hostdir/tests/cluster/flock"
	"github.com/hostdir/hostdir/tests/cluster/kube"
	"github.com/hostdir/hostdir/tests/cluster/machine"
	"github.com/hostdir/hostdir/tests/cluster/programs"
)

// stateFolder holds a folder for each cluster. It must be on a real disk: containerd's overlays cannot lie on another.
const stateFolder = "/var/lib/hostdir-cluster"

// A cluster is known by its name.
type cluster struct {
	name  string
	cache programs.Cache
}

func (c cluster) dir() string        { return filepath.Join(stateFolder, c.name) }
func (c cluster) kubeconfig() string { return filepath.Join(c.dir(), "kubeconfig") }

func (c cluster) machine(name string) machine.Machine {
	return machine.Machine{Dir: filepath.Join(c.dir(), "machines", name)}
}

func (c cluster) controlPlane() machine.Machine { return c.machine(kube.ControlPlane) }

// exists reports whether the cluster has been made, whether or not it runs.
func (c cluster) exists() (bool, error) {
	_, err := os.Stat(c.dir())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// mustExist is the error of a command that needs the cluster.
func (c cluster) mustExist() error {
	exists, err := c.exists()
	if err == nil && !exists {
		err = fmt.Errorf("there is no cluster %s: bring it up with \"cluster up --name %s\"", c.name, c.name)
	}
	return err
}

// machines are those of the cluster's folder, the control plane first.
func (c cluster) machines() ([]machine.Machine, error) {
	entries, err := os.ReadDir(filepath.Join(c.dir(), "machines"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []machine.Machine
	for _, entry := range entries {
		all = append(all, c.machine(entry.Name()))
	}
	slices.SortFunc(all, func(a, b machine.Machine) int { return strings.Compare(a.Name(), b.Name()) })
	return all, nil
}

// workers are the machines that are nodes.
func (c cluster) workers() ([]machine.Machine, error) {
	all, err := c.machines()
	return slices.DeleteFunc(all, func(m machine.Machine) bool { return m.Name() == kube.ControlPlane }), err
}

// worker finds a node by its name.
func (c cluster) worker(name string) (machine.Machine, error) {
	workers, err := c.workers()
	if err != nil {
		return machine.Machine{}, err
	}
	var names []string
	for _, w := range workers {
		if w.Name() == name {
			return w, nil
		}
		names = append(names, w.Name())
	}
	if len(names) == 0 {
		return machine.Machine{}, c.mustExist()
	}
	return machine.Machine{}, fmt.Errorf("cluster %s has no node %q; it has %s", c.name, name, strings.Join(names, ", "))
}

// create makes the cluster's folder, with everything that its machines need to start. It is made aside and renamed.
func (c cluster) create(workers int, args []string) error {
	plans, kubeconfig, err := kube.NewCluster(c.name, workers, c.cache)
	if err != nil {
		return err
	}
	for _, arg := range args {
		if err := giveArgument(plans, arg); err != nil {
			return err
		}
	}
	aside := c.aside()
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	for _, plan := range plans {
		m := machine.Machine{Dir: filepath.Join(aside, "machines", plan.Spec.Name)}
		if err := m.Create(plan.Spec); err != nil {
			return err
		}
		for path, content := range plan.Files {
			path = filepath.Join(m.Root(), path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(path, content, 0o600); err != nil {
				return err
			}
		}
	}
	if err := os.WriteFile(filepath.Join(aside, "kubeconfig"), kubeconfig, 0o600); err != nil {
		return err
	}
	return os.Rename(aside, c.dir())
}

// giveArgument adds DAEMON=ARGUMENT to the daemons of that name.
func giveArgument(plans []kube.Plan, arg string) error {
	name, value, _ := strings.Cut(arg, "=")
	given := false
	for _, plan := range plans {
		for i, daemon := range plan.Spec.Daemons {
			if daemon.Name == name && value != "" {
				plan.Spec.Daemons[i].Args = append(daemon.Args, value)
				given = true
			}
		}
	}
	if !given {
		return fmt.Errorf("no daemon takes the argument %q: write it as kube-scheduler=--v=4", arg)
	}
	return nil
}

// aside is where the cluster's folder is made. No cluster's name begins with a dot.
func (c cluster) aside() string { return filepath.Join(stateFolder, "."+c.name+".new") }

// lock keeps others from starting and stopping machines meanwhile.
func (c cluster) lock() (unlock func(), err error) {
	return flock.Folder(stateFolder, func() { say("waiting for another cluster command to end") })
}

// start starts a machine; a worker's network cable goes into the control plane's bridge.
func (c cluster) start(m machine.Machine) error {
	return m.Start(func(pid int) error {
		if m.Name() == kube.ControlPlane {
			return nil
		}
		// A worker that was stopped a moment ago may not have lost its cable yet.
		if unplug, err := c.controlPlane().InNetwork("ip", "link", "delete", m.Name()); err == nil {
			unplug.Run()
		}
		for _, args := range []string{
			fmt.Sprintf("link add name %s type veth peer name eth0 netns %d", m.Name(), pid),
			fmt.Sprintf("link set %s master %s up", m.Name(), kube.Bridge),
		} {
			ip, err := c.controlPlane().InNetwork("ip", strings.Fields(args)...)
			if err != nil {
				return err
			}
			if out, err := ip.CombinedOutput(); err != nil {
				return fmt.Errorf("ip %s: %w: %s", args, err, strings.TrimSpace(string(out)))
			}
		}
		return nil
	})
}

// kubectl is a kubectl command as the cluster's administrator.
func (c cluster) kubectl(args ...string) (*exec.Cmd, error) {
	return c.controlPlane().InNetwork(c.cache.Path("kubectl"), append([]string{"--kubeconfig=" + c.kubeconfig()}, args...)...)
}
