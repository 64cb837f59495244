package main

import (
	"os"
	"path/filepath"

	"github.com/hostdir/hostdir/tests/cluster/kube"
)

// wipe sets the machines up anew, with the names and addresses that they had: etcd is empty, and the nodes know no pods
// and images. Their disks stay. Interrupted, it must be called again.
func (c cluster) wipe() error {
	if err := c.mustExist(); err != nil {
		return err
	}
	if err := c.removeState(); err != nil {
		return err
	}
	return c.up(0, nil)
}

func (c cluster) removeState() error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	all, err := c.machines()
	if err != nil {
		return err
	}
	for _, m := range all {
		say("wiping %s", m.Name())
		// With it go the mounts of volumes into kubelet's folder: what is removed there is no volume's data.
		if err := m.Stop(); err != nil {
			return err
		}
		for _, folder := range kube.State {
			if err := os.RemoveAll(filepath.Join(m.Root(), folder)); err != nil {
				return err
			}
		}
	}
	return nil
}
