package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostdir/hostdir/tests/cluster/images"
	"github.com/hostdir/hostdir/tests/cluster/kube"
	"github.com/hostdir/hostdir/tests/cluster/machine"
	"github.com/hostdir/hostdir/tests/cluster/programs"
)

// prepare builds and installs everything that a cluster needs, and returns the archives of its images.
func (c cluster) prepare() ([]string, error) {
	if err := programs.Require(say, "ip", "nft", "iptables", "busybox", "runc"); err != nil {
		return nil, err
	}
	if err := c.cache.Build(say); err != nil {
		return nil, err
	}
	return images.Preloaded(c.cache, say)
}

// up makes the cluster, or starts what does not run of it, and returns when all its nodes are ready. workers is
// how many nodes a new cluster gets, and must be 0 or what it has otherwise; args are for its daemons.
func (c cluster) up(workers int, args []string) error {
	archives, err := c.prepare()
	if err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	exists, err := c.exists()
	if err != nil {
		return err
	}
	if !exists {
		if workers == 0 {
			workers = 2
		}
		say("making cluster %s with %d nodes in %s", c.name, workers, c.dir())
		if err := c.create(workers, args); err != nil {
			return fmt.Errorf("make cluster %s: %w", c.name, err)
		}
	} else if has, err := c.workers(); err != nil {
		return err
	} else if workers != 0 && workers != len(has) {
		return fmt.Errorf("cluster %s has %d nodes, not %d: take it down first", c.name, len(has), workers)
	}

	began := time.Now()
	started, err := c.startAll()
	if err != nil {
		return err
	}
	if len(started) == 0 && c.allReady() == nil {
		say("cluster %s is up already", c.name)
		return nil
	}
	if err := c.loadAll(archives); err != nil {
		return err
	}
	say("waiting for the nodes to be ready")
	if err := c.waitUsable(2 * time.Minute); err != nil {
		return err
	}
	say("cluster %s is up after %.1f s", c.name, time.Since(began).Seconds())
	return nil
}

// startAll starts the machines that do not run, the control plane first, and returns them.
func (c cluster) startAll() ([]machine.Machine, error) {
	all, err := c.machines()
	if err != nil {
		return nil, err
	}
	var started []machine.Machine
	for _, m := range all {
		pid, err := m.PID()
		if err != nil {
			return nil, err
		}
		// The network is the control plane's: without it the workers are cut off, and start anew.
		cut := len(started) > 0 && started[0].Name() == kube.ControlPlane
		if pid != 0 && !cut {
			continue
		}
		if err := m.Stop(); err != nil { // also what a crash left behind
			return nil, err
		}
		say("starting %s", m.Name())
		if err := c.start(m); err != nil {
			return nil, err
		}
		started = append(started, m)
	}
	return started, nil
}

// ready reports of each node whether it runs and Kubernetes calls it ready.
func (c cluster) ready() (map[string]bool, error) {
	kubectl, err := c.kubectl("get", "nodes", "--request-timeout=5s", "-o",
		`jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
	if err != nil {
		return nil, err
	}
	out, err := kubectl.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("ask for the nodes: %w: %s", err, lastLine(out))
	}
	says := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, status, _ := strings.Cut(strings.TrimSpace(line), " ")
		says[name] = status
	}
	workers, err := c.workers()
	if err != nil {
		return nil, err
	}
	ready := map[string]bool{}
	for _, w := range workers {
		pid, err := w.PID()
		if err != nil {
			return nil, err
		}
		ready[w.Name()] = pid != 0 && says[w.Name()] == "True"
	}
	return ready, nil
}

// allReady is nil when every node is ready, and says otherwise why not.
func (c cluster) allReady() error {
	ready, err := c.ready()
	if err != nil {
		return err
	}
	var not []string
	for _, name := range slices.Sorted(maps.Keys(ready)) {
		if !ready[name] {
			not = append(not, name)
		}
	}
	if len(not) > 0 {
		return fmt.Errorf("not ready: %s", strings.Join(not, ", "))
	}
	return nil
}

// waitUsable waits until the nodes are ready and pods can be made.
func (c cluster) waitUsable(patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(250 * time.Millisecond) {
		err := c.allReady()
		if err == nil {
			err = c.acceptsPods()
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cluster %s cannot be used after %s: %w\nits logs are in %s", c.name, patience, err,
				filepath.Join(c.dir(), "machines", "*", "root/var/log"))
		}
	}
}

// acceptsPods is nil once the controller manager has made the account that pods run as by default.
func (c cluster) acceptsPods() error {
	kubectl, err := c.kubectl("get", "serviceaccount", "default", "--namespace=default")
	if err != nil {
		return err
	}
	if out, err := kubectl.CombinedOutput(); err != nil {
		return fmt.Errorf("ask for the default service account: %w: %s", err, lastLine(out))
	}
	return nil
}

// loadAll loads image archives into all nodes that run, at once.
func (c cluster) loadAll(archives []string) error {
	workers, err := c.workers()
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	errs := make([]error, len(workers))
	for i, w := range workers {
		if pid, err := w.PID(); err != nil || pid == 0 {
			continue
		}
		group.Go(func() {
			for _, archive := range archives {
				if errs[i] = c.load(w, archive); errs[i] != nil {
					return
				}
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// down ends the cluster and removes all that is left of it, whatever state it is in.
func (c cluster) down() error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	exists, err := c.exists()
	if err != nil {
		return err
	}
	all, err := c.machines()
	if err != nil {
		return err
	}
	for _, m := range all {
		if err := m.Stop(); err != nil {
			return err
		}
	}
	for _, dir := range []string{c.aside(), c.dir()} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	os.Remove(stateFolder) // stays while there are other clusters
	if exists {
		say("cluster %s is down", c.name)
	} else {
		say("there was no cluster %s", c.name)
	}
	return nil
}
