package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/hostdir/hostdir/tests/cluster/images"
	"github.com/hostdir/hostdir/tests/cluster/machine"
)

// loadImage loads an image into all nodes: an archive, or an image that was built here, by its name.
func (c cluster) loadImage(image string) error {
	if err := c.mustExist(); err != nil {
		return err
	}
	archive := image
	if info, err := os.Stat(image); err != nil || info.IsDir() {
		builder, err := images.NewBuilder(c.cache, say)
		if err != nil {
			return err
		}
		temporary, err := os.CreateTemp("", "image-*.tar")
		if err != nil {
			return err
		}
		temporary.Close()
		archive = temporary.Name()
		defer os.Remove(archive)
		if err := builder.Save(image, archive); err != nil {
			return fmt.Errorf("%s is neither an archive nor an image that was built here: %w", image, err)
		}
	}
	if err := c.loadAll([]string{archive}); err != nil {
		return err
	}
	say("loaded %s into the nodes of cluster %s", image, c.name)
	return nil
}

// load loads an archive into one node, whose containerd may still be starting.
func (c cluster) load(node machine.Machine, archive string) error {
	socket, err := node.Path("/run/containerd/containerd.sock")
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("containerd of %s does not start: see %s/var/log/containerd.log", node.Name(), node.Root())
		}
	}
	out, err := exec.Command(c.cache.Path("ctr"), "--address="+socket, "--namespace=k8s.io", "images", "import", archive).CombinedOutput()
	if err != nil {
		return fmt.Errorf("load %s into %s: %w: %s", archive, node.Name(), err, strings.TrimSpace(string(out)))
	}
	return nil
}
