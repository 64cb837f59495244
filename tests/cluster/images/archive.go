// Package images makes the container images that a cluster needs where no registry can be reached: stand-ins for
// small public images, made of this machine's own programs, and images built from a Dockerfile.
package images

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/hostdir/hostdir/deploy/oci"
)

// An image is a root filesystem of one layer for this machine, and what to run in it.
type image struct {
	Name       string // with its tag
	Files      []oci.File
	Entrypoint []string `json:",omitempty"`
	Cmd        []string `json:",omitempty"`
	Env        []string `json:",omitempty"`
}

// write writes the image as an archive that containerd and buildah load.
func (i image) write(w io.Writer) error {
	return oci.Archive{Name: i.Name, Images: []oci.Image{{
		Architecture: runtime.GOARCH, Files: i.Files, Entrypoint: i.Entrypoint, Cmd: i.Cmd, Env: i.Env,
	}}}.Write(w)
}

// cached returns the path of the image's archive in dir, which it writes when it is not there. The name of the
// archive lists what is in it, down to the size and time of each file.
func (i image) cached(dir string) (string, error) {
	hash := sha256.New()
	if err := json.NewEncoder(hash).Encode(i); err != nil {
		return "", err
	}
	for _, f := range i.Files {
		if f.Source == "" {
			continue
		}
		info, err := os.Stat(f.Source)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(hash, info.Size(), info.ModTime().UnixNano())
	}
	path := filepath.Join(dir, fmt.Sprintf("%s-%.6x.oci.tar", ShortName(i.Name), hash.Sum(nil)))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	aside, err := os.CreateTemp(dir, ".writing-")
	if err != nil {
		return "", err
	}
	defer os.Remove(aside.Name())
	defer aside.Close()
	if err := i.write(aside); err != nil {
		return "", err
	}
	return path, os.Rename(aside.Name(), path)
}
