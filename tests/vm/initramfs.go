package vm

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"

	"github.com/hostdir/hostdir/tests/vm/guest"
)

// tools are programs of this machine that every machine has.
var tools = []string{"busybox", "mkfs.xfs", "mkfs.ext4", "mkfs.btrfs", "tune2fs"}

// makeInitramfs packs what the machine's first filesystem holds. It has no name: see temporary.
func makeInitramfs(k kernel, o Options) (*os.File, error) {
	f, err := temporary()
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewWriter(f)
	a := archive{out: buffered, has: map[string]bool{}}
	if err := a.fill(k, o); err != nil {
		f.Close()
		return nil, fmt.Errorf("make its first filesystem: %w", err)
	}
	if err := buffered.Flush(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (a *archive) fill(k kernel, o Options) error {
	dir, err := os.MkdirTemp("", "hostdir-vm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	init := filepath.Join(dir, "init")
	if err := buildStatic("build", "-o", init, module+"tests/vm/init"); err != nil {
		return err
	}
	if err := a.addProgram("/init", init); err != nil {
		return err
	}
	programs := slices.Clone(o.Programs)
	for _, tool := range tools {
		p, err := exec.LookPath(tool)
		if err != nil {
			return fmt.Errorf("%w (tests/packages installs it)", err)
		}
		programs = append(programs, p)
	}
	for _, p := range programs {
		if err := a.addProgram(path.Join(guest.Programs, filepath.Base(p)), p); err != nil {
			return err
		}
	}
	for i, m := range k.modules {
		if err := a.addFile(path.Join(guest.Modules, fmt.Sprintf("%02d-%s", i, filepath.Base(m))), m); err != nil {
			return err
		}
	}
	disks := []guest.Disk{}
	for _, d := range o.Disks {
		disks = append(disks, d.Disk)
	}
	config, err := json.Marshal(disks)
	if err != nil {
		return err
	}
	if err := a.add(guest.Config, regular|0o644, config); err != nil {
		return err
	}
	return a.end()
}

// addProgram adds a program and the libraries that it needs.
func (a *archive) addProgram(guestPath, hostPath string) error {
	needed, err := libraries(hostPath)
	if err != nil {
		return err
	}
	for _, library := range needed {
		if a.has[library] {
			continue
		}
		if err := a.addFile(library, library); err != nil {
			return err
		}
	}
	return a.addFile(guestPath, hostPath)
}

func (a *archive) addFile(guestPath, hostPath string) error {
	content, err := os.ReadFile(hostPath)
	if err != nil {
		return err
	}
	return a.add(guestPath, regular|0o755, content)
}
