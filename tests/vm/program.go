package vm

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// libraries are the files that a program is linked with when it starts, if it is.
func libraries(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close()
	if !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return nil, nil
	}
	out, err := exec.Command("ldd", path).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w\n%s", path, err, out)
	}
	var found []string
	for field := range strings.FieldsSeq(string(out)) { // libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0d2d200000)
		if filepath.IsAbs(field) {
			found = append(found, field)
		}
	}
	return found, nil
}
