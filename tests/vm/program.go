package vm

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/hostdir/hostdir/"

// BuildTest builds the tests of a package of hostdir into a program for the machine. pkg/quota's is called
// pkg-quota.test. It finds no files of the package's folder there.
func BuildTest(t testing.TB, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), strings.ReplaceAll(name, "/", "-")+".test")
	if err := buildStatic("test", "-c", "-o", program, module+name); err != nil {
		t.Fatal(err)
	}
	return program
}

func buildStatic(command string, args ...string) error {
	cmd := exec.Command("go", append([]string{command, "-trimpath", "-ldflags=-s -w"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s %q: %w\n%s", command, args, err, out)
	}
	return nil
}

// requireStatic refuses a program that asks for a dynamic linker.
func requireStatic(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is not static, and the virtual machine has no libraries: build a Go program with CGO_ENABLED=0; busybox is Debian's busybox-static", path)
		}
	}
	return nil
}
