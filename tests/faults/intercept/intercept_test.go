package intercept_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/faults/intercept"
	"github.com/hostdir/hostdir/tests/plugin"
)

// run runs a command in a new directory, with a verdict on the call of a name. It
// returns all calls and how the command ended.
func run(t *testing.T, name string, verdict intercept.Verdict, command ...string) (dir string, calls []intercept.Call, err error) {
	t.Helper()
	plugin.RequireRoot(t)
	dir, err = filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C"}
	var mu sync.Mutex
	err = intercept.Start(cmd, func(c intercept.Call) intercept.Verdict {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, c)
		if c.Name == name {
			return verdict
		}
		return intercept.Verdict{}
	})
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	mu.Lock()
	defer mu.Unlock()
	return dir, slices.Clone(calls), err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestHappens(t *testing.T) {
	dir, calls, err := run(t, "", intercept.Verdict{}, "sh", "-c", "exec 3>a; echo text >&3")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range calls {
		if strings.Contains(c.String(), dir) {
			got = append(got, c.String())
		}
	}
	want := []string{"openat " + dir + "/a", "write " + dir + "/a"}
	if !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
	if content, _ := os.ReadFile(filepath.Join(dir, "a")); string(content) != "text\n" {
		t.Errorf("the file holds %q", content)
	}
}

func TestFails(t *testing.T) {
	dir, _, err := run(t, "fsync", intercept.Fail(unix.ENOSPC), "sync", ".")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("sync in %s ends with %v, want status 1", dir, err)
	}
}

func TestKills(t *testing.T) {
	dir, _, err := run(t, "write", intercept.Kill, "sh", "-c", "echo text > a")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the command ends with %v, want SIGKILL", err)
	}
	if content, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || len(content) > 0 {
		t.Errorf("the write has happened: %q, %v", content, err)
	}
}

// TestUnknown makes a call that calls.go does not know.
func TestUnknown(t *testing.T) {
	dir, calls, err := run(t, "", intercept.Verdict{}, "mknod", "a", "p")
	if err != nil || !exists(filepath.Join(dir, "a")) {
		t.Fatalf("mknod: %v", err)
	}
	if !slices.ContainsFunc(calls, func(c intercept.Call) bool { return !c.Known && strings.HasPrefix(c.Name, "system call ") }) {
		t.Errorf("mknodat was not handed over as unknown: %v", calls)
	}
}
