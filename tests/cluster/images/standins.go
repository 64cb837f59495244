package images

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"

	"github.com/hostdir/hostdir/deploy/oci"
	"github.com/hostdir/hostdir/tests/cluster/kube"
	"github.com/hostdir/hostdir/tests/cluster/programs"
)

// Preloaded returns the archives of the images that every node holds from the start.
func Preloaded(cache programs.Cache, say func(string, ...any)) ([]string, error) {
	pause, err := pauseImage(cache, say)
	if err != nil {
		return nil, err
	}
	busybox, err := busyboxFiles()
	if err != nil {
		return nil, err
	}
	var archives []string
	for _, i := range []image{
		pause,
		{Name: kube.BusyboxImage, Files: busybox, Cmd: []string{"sh"}, Env: []string{"PATH=" + searchPath}},
		sidecarImage(kube.ProvisionerImage, cache),
		sidecarImage(kube.ResizerImage, cache),
		sidecarImage(kube.SnapshotterImage, cache),
		sidecarImage(kube.SnapshotControllerImage, cache),
		{Name: kube.KubectlImage, Entrypoint: []string{"/bin/kubectl"}, Files: []oci.File{
			{Path: "bin/", Mode: 0o755}, {Path: "bin/kubectl", Source: cache.Path("kubectl"), Mode: 0o755},
		}},
	} {
		archive, err := i.cached(cache.Folder("images"))
		if err != nil {
			return nil, fmt.Errorf("make image %s: %w", i.Name, err)
		}
		archives = append(archives, archive)
	}
	return archives, nil
}

// sidecarImage is a built program alone, which the image is named after.
func sidecarImage(name string, cache programs.Cache) image {
	program := ShortName(name)
	return image{
		Name:       name,
		Files:      []oci.File{{Path: program, Source: cache.Path(program), Mode: 0o755}},
		Entrypoint: []string{"/" + program},
	}
}

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

//go:embed pause/main.go
var pauseSource []byte

// pauseImage is our own program: the sandbox needs no more than that it stays.
func pauseImage(cache programs.Cache, say func(string, ...any)) (image, error) {
	binary, err := cache.BuildFile("pause", pauseSource, say)
	if err != nil {
		return image{}, err
	}
	return image{
		Name:       kube.PauseImage,
		Files:      []oci.File{{Path: "pause", Source: binary, Mode: 0o755}},
		Entrypoint: []string{"/pause"},
	}, nil
}

// busyboxFiles are the machine's static busybox with a link for each of its commands.
func busyboxFiles() ([]oci.File, error) {
	binary, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	commands, err := exec.Command(binary, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("ask %s for its commands: %w", binary, err)
	}
	files := []oci.File{
		{Path: "bin/", Mode: 0o755}, {Path: "etc/", Mode: 0o755}, {Path: "root/", Mode: 0o700}, {Path: "tmp/", Mode: 0o1777},
		{Path: "bin/busybox", Source: binary, Mode: 0o755},
	}
	for command := range strings.FieldsSeq(string(commands)) {
		if command != "busybox" {
			files = append(files, oci.File{Path: "bin/" + command, Link: "busybox"})
		}
	}
	return files, nil
}

// golangImage stands in for the official image of Go: busybox as its shell, the certificates of this machine, and
// Go itself, which is mounted in when it is used, as is what it has downloaded and built before.
func golangImage(name string) (image, error) {
	files, err := busyboxFiles()
	if err != nil {
		return image{}, err
	}
	const certificates = "etc/ssl/certs/ca-certificates.crt"
	if _, err := os.Stat("/" + certificates); err == nil {
		files = append(files, oci.File{Path: certificates, Source: "/" + certificates, Mode: 0o644})
	}
	env := []string{"PATH=/go/bin:/usr/local/go/bin:" + searchPath, "GOPATH=/go", "GOCACHE=/go/cache", "GOTOOLCHAIN=local", "HOME=/root"}
	for _, setting := range []string{"GOPROXY", "GOSUMDB"} { // modules come from where this machine takes them
		value, err := exec.Command("go", "env", setting).Output()
		if err != nil {
			return image{}, fmt.Errorf("ask go for %s: %w", setting, err)
		}
		env = append(env, setting+"="+strings.TrimSpace(string(value)))
	}
	return image{Name: name, Files: files, Cmd: []string{"sh"}, Env: env}, nil
}

// ShortName is the last part of an image's name, without the tag: a good name for a file.
func ShortName(name string) string {
	short, _, _ := strings.Cut(path.Base(name), ":")
	return short
}
