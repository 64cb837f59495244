package images

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hostdir/hostdir/tests/cluster/flock"
	"github.com/hostdir/hostdir/tests/cluster/programs"
)

// A Builder builds images from Dockerfiles, without a daemon and without a registry, in a store of its own.
type Builder struct {
	cache programs.Cache
	say   func(string, ...any)
}

// NewBuilder installs what building takes.
func NewBuilder(cache programs.Cache, say func(string, ...any)) (Builder, error) {
	return Builder{cache, say}, programs.Require(say, "buildah", "busybox")
}

// Build builds the Dockerfile of a folder and writes the image as an archive.
func (b Builder) Build(dir, name, archive string) error {
	dockerfile, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
	if err != nil {
		return err
	}
	unlock, err := flock.Folder(b.store(), func() { b.say("waiting for another process that is building an image") })
	if err != nil {
		return err
	}
	defer unlock()
	for _, base := range golangBases(string(dockerfile)) {
		if err := b.standIn(base); err != nil {
			return err
		}
	}
	mounts, err := goFolders()
	if err != nil {
		return err
	}
	b.say("building image %s from %s", name, filepath.Join(dir, "Dockerfile"))
	args := []string{"bud", "--pull-never", "--isolation=chroot", "--format=docker", "--tag=" + name}
	for _, m := range mounts {
		args = append(args, "--volume="+m)
	}
	if err := b.buildah(append(args, dir)...); err != nil {
		return err
	}
	if err := b.Save(name, archive); err != nil {
		return err
	}
	// What was called so before, and what an interrupted build left, is of no use to anyone.
	if err := b.buildah("rm", "--all"); err != nil {
		return err
	}
	return b.buildah("rmi", "--prune")
}

// Save writes an image of the store as an archive.
func (b Builder) Save(name, archive string) error {
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		return err
	}
	aside := filepath.Join(filepath.Dir(archive), "."+filepath.Base(archive)+".new")
	if err := os.Remove(aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	defer os.Remove(aside)
	if err := b.buildah("push", "--quiet", name, "docker-archive:"+aside+":"+name); err != nil {
		return err
	}
	return os.Rename(aside, archive)
}

// standIn puts a stand-in for an image of Go into the store, under its name.
func (b Builder) standIn(name string) error {
	stand, err := golangImage(name)
	if err != nil {
		return err
	}
	archive, err := stand.cached(b.cache.Folder("images"))
	if err != nil {
		return err
	}
	b.say("using this machine's Go as image %s", name)
	return b.buildah("pull", "--quiet", "oci-archive:"+archive)
}

func (b Builder) store() string { return b.cache.Folder("buildah") }

// buildah keeps its images apart from those of the user.
func (b Builder) buildah(args ...string) error {
	cmd := exec.Command("buildah", append([]string{"--storage-driver=vfs",
		"--root=" + filepath.Join(b.store(), "root"), "--runroot=" + filepath.Join(b.store(), "run")}, args...)...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("buildah %s: %w\n%s", args[0], err, strings.TrimSpace(output.String()))
	}
	return nil
}

var fromLine = regexp.MustCompile(`(?mi)^FROM\s+(?:--platform=\S+\s+)?(\S+)`)

// golangBases are the images of Go that a Dockerfile builds upon, by their full names.
func golangBases(dockerfile string) []string {
	var bases []string
	for _, match := range fromLine.FindAllStringSubmatch(dockerfile, -1) {
		if name := strings.TrimPrefix(match[1], "docker.io/library/"); strings.HasPrefix(name, "golang:") {
			bases = append(bases, "docker.io/library/"+name)
		}
	}
	return bases
}

// goFolders are the folders of this machine's Go and where the official image has them.
func goFolders() ([]string, error) {
	out, err := exec.Command("go", "env", "GOROOT", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("ask go for its folders: %w", err)
	}
	folders := strings.Fields(string(out))
	if len(folders) != 3 {
		return nil, fmt.Errorf("go names %d folders instead of 3: %q", len(folders), folders)
	}
	for _, folder := range folders {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
	}
	return []string{folders[0] + ":/usr/local/go:ro", folders[1] + ":/go/pkg/mod", folders[2] + ":/go/cache"}, nil
}
