package programs

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/hostdir/hostdir/tests/cluster/flock"
)

// Build builds what a cluster needs and is missing, one program after the other, and says what it does.
func (c Cache) Build(say func(string, ...any)) error { return c.buildMissing(all, say) }

// BuildInKubernetes builds what is missing of these programs, and returns their paths, by their order.
func (c Cache) BuildInKubernetes(say func(string, ...any), commands ...Command) ([]string, error) {
	var programs []program
	var paths []string
	for _, command := range commands {
		p := command.program()
		programs = append(programs, p)
		paths = append(paths, filepath.Join(c.folder(p), p.name))
	}
	return paths, c.buildMissing(programs, say)
}

func (c Cache) buildMissing(programs []program, say func(string, ...any)) error {
	var missing []program
	for _, p := range programs {
		if !c.has(p) {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	unlock, err := c.lock(say)
	if err != nil {
		return err
	}
	defer unlock()
	for i, p := range missing {
		if c.has(p) { // another process built it while we waited for the lock
			continue
		}
		note := ""
		if p.takes != "" {
			note = ", " + p.takes
		}
		say("building %s %s (%d of %d)%s", p.name, p.version, i+1, len(missing), note)
		if err := c.build(p, say); err != nil {
			return fmt.Errorf("build %s %s: %w", p.name, p.version, err)
		}
	}
	return nil
}

func (c Cache) has(p program) bool {
	_, err := os.Stat(c.folder(p))
	return err == nil
}

// lock keeps two processes from building the same program twice, and clears away what an interrupted build left.
func (c Cache) lock(say func(string, ...any)) (unlock func(), err error) {
	dir := filepath.Join(c.dir, "programs")
	unlock, err = flock.Folder(dir, func() { say("waiting for another process that is building the programs") })
	if err != nil {
		return nil, err
	}
	left, err := filepath.Glob(filepath.Join(dir, ".building-*"))
	for _, l := range left {
		err = errors.Join(err, os.RemoveAll(l))
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// build builds the program aside and renames it into place, so that what is there is whole.
func (c Cache) build(p program, say func(string, ...any)) error {
	aside, err := os.MkdirTemp(filepath.Join(c.dir, "programs"), ".building-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	source, err := download(aside, p.module, p.version)
	if err != nil {
		return err
	}
	if err := copyModule(aside, source, p.siblings); err != nil {
		return err
	}

	out := filepath.Join(aside, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	target := out + "/"
	if len(p.binaries()) == 1 {
		target += p.binaries()[0]
	}
	commands := p.commands
	if p.source != nil {
		main := filepath.Join(aside, "main.go")
		if err := os.WriteFile(main, p.source, 0o644); err != nil {
			return err
		}
		commands = []string{main}
	}
	args := append([]string{"build", "-modfile=" + filepath.Join(aside, "go.mod"), "-mod=mod", "-trimpath", "-buildvcs=false",
		"-ldflags=" + strings.TrimSpace("-s -w "+p.ldflags), "-o", target}, commands...)
	stop := every(time.Minute, func(d time.Duration) { say("still building %s, %s so far", p.name, d.Round(time.Second)) })
	defer stop()
	if _, err := goCommand(source, aside, args...); err != nil {
		return err
	}
	return os.Rename(out, c.folder(p))
}

// BuildFile builds a program of one file that needs nothing but Go's own library, and returns its path. It is kept
// by its content.
func (c Cache) BuildFile(name string, source []byte, say func(string, ...any)) (string, error) {
	path := filepath.Join(c.dir, "programs", fmt.Sprintf("%s-%.6x-%s-%s", name, sha256.Sum256(source), c.goVersion, runtime.GOARCH), name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	unlock, err := c.lock(say)
	if err != nil {
		return "", err
	}
	defer unlock()
	aside, err := os.MkdirTemp(filepath.Join(c.dir, "programs"), ".building-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(aside)
	main := filepath.Join(aside, "main.go")
	if err := os.WriteFile(main, source, 0o644); err != nil {
		return "", err
	}
	out := filepath.Join(aside, "out")
	if _, err := goCommand(aside, aside, "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(out, name), main); err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	if err := os.Rename(out, filepath.Dir(path)); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return path, nil
}

// download brings the module into Go's module cache and returns its folder there. It works from a folder that
// is outside every module.
func download(from, module, version string) (string, error) {
	out, err := goCommand(from, from, "mod", "download", "-json", module+"@"+version)
	if err != nil {
		return "", err
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &downloaded); err != nil {
		return "", fmt.Errorf("read what go mod download said: %w", err)
	}
	return downloaded.Dir, nil
}

// SnapshotCRDs is the folder, in Go's module cache, of the CustomResourceDefinitions of snapshots and of groups of them,
// with a kustomization.
func SnapshotCRDs() (string, error) {
	module, err := download(os.TempDir(), snapshotClient, snapshotClientVersion)
	if err != nil {
		return "", err
	}
	return filepath.Join(module, "config", "crd"), nil
}

// copyModule copies the go.mod and go.sum of source to dir, where the build may add sums to them.
func copyModule(dir, source, siblings string) error {
	mod, err := os.ReadFile(filepath.Join(source, "go.mod"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), publishedSiblings(mod, siblings), 0o644); err != nil {
		return err
	}
	sum, err := os.ReadFile(filepath.Join(source, "go.sum"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o644)
}

// folderReplace matches a line of go.mod that takes a module from a folder beside its own.
var folderReplace = regexp.MustCompile(`(?m)^(\s*(?:replace )?)(\S+)((?: v\S+)?) => \.{1,2}/\S*$`)

// publishedSiblings lets go.mod take those modules as they were published: a module's download holds no other
// module's folder.
func publishedSiblings(mod []byte, version string) []byte {
	return folderReplace.ReplaceAll(mod, []byte("${1}${2}${3} => ${2} "+version))
}

// goCommand runs the go command in dir, without cgo and without the workspaces and flags of whoever calls. It ends
// when this process does, and leaves what it then leaves in the folder temporary.
func goCommand(dir, temporary string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOTMPDIR="+temporary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("the go command is not in PATH: install Go (https://go.dev/dl)")
	}
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, tail(stderr.String(), 30))
	}
	return string(out), nil
}

// tail is the last lines of a text: compilers say what matters last.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// every calls f each interval with the time since it began, until stop is called.
func every(interval time.Duration, f func(time.Duration)) (stop func()) {
	begin, ticker, done := time.Now(), time.NewTicker(interval), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				f(time.Since(begin))
			case <-done:
				return
			}
		}
	}()
	return func() { ticker.Stop(); close(done) }
}
