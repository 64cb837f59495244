package vm

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"

	"github.com/hostdir/hostdir/tests/vm/guest"
)

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
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("%w; tests/packages installs it", err)
	}
	for guestPath, hostPath := range map[string]string{"/init": init, "/bin/busybox": busybox} {
		if err := a.addProgram(guestPath, hostPath); err != nil {
			return err
		}
	}
	for _, p := range o.Programs {
		if err := a.addProgram(path.Join(guest.Programs, filepath.Base(p)), p); err != nil {
			return err
		}
	}
	for i, module := range k.modules {
		if err := a.addFile(path.Join(guest.Modules, fmt.Sprintf("%02d-%s", i, filepath.Base(module))), module); err != nil {
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

// addProgram adds a program, which must need no libraries: the machine has none.
func (a *archive) addProgram(guestPath, hostPath string) error {
	if err := requireStatic(hostPath); err != nil {
		return err
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
