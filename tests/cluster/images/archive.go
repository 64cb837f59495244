// Package images makes the container images that a cluster needs where no registry can be reached: stand-ins for
// small public images, made of this machine's own programs, and images built from a Dockerfile.
package images

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// An image is a root filesystem of one layer, and what to run in it.
type image struct {
	Name       string // with its tag
	Files      []file
	Entrypoint []string `json:",omitempty"`
	Cmd        []string `json:",omitempty"`
	Env        []string `json:",omitempty"`
}

// A file is a regular file when it has a Source or a Text, a symbolic link when it has a Link, and otherwise a folder.
type file struct {
	Path   string
	Source string `json:",omitempty"` // where its content is on this machine
	Text   string `json:",omitempty"` // its content itself
	Link   string `json:",omitempty"`
	Mode   int64  `json:",omitempty"`
}

// write writes the image as the kind of archive that "docker save" makes, which containerd and buildah both load.
func (i image) write(w io.Writer) error {
	layer, err := os.CreateTemp("", "layer-")
	if err != nil {
		return err
	}
	defer os.Remove(layer.Name())
	defer layer.Close()
	hash := sha256.New()
	if err := i.writeLayer(io.MultiWriter(layer, hash)); err != nil {
		return err
	}
	size, err := layer.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := layer.Seek(0, io.SeekStart); err != nil {
		return err
	}

	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"created":      time.Unix(0, 0).UTC(),
		"config":       map[string]any{"Entrypoint": i.Entrypoint, "Cmd": i.Cmd, "Env": i.Env},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", hash.Sum(nil))}},
		"history":      []map[string]any{{"created_by": "hostdir's test cluster"}},
	})
	if err != nil {
		return err
	}
	configName := fmt.Sprintf("%x.json", sha256.Sum256(config))
	manifest, err := json.Marshal([]map[string]any{{
		"Config": configName, "RepoTags": []string{i.Name}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return err
	}

	out := tar.NewWriter(w)
	for _, part := range []struct {
		name    string
		content []byte
	}{{configName, config}, {"manifest.json", manifest}} {
		if err := out.WriteHeader(&tar.Header{Name: part.name, Mode: 0o644, Size: int64(len(part.content))}); err != nil {
			return err
		}
		if _, err := out.Write(part.content); err != nil {
			return err
		}
	}
	if err := out.WriteHeader(&tar.Header{Name: "layer.tar", Mode: 0o644, Size: size}); err != nil {
		return err
	}
	if _, err := io.Copy(out, layer); err != nil {
		return err
	}
	return out.Close()
}

func (i image) writeLayer(w io.Writer) error {
	out := tar.NewWriter(w)
	for _, f := range i.Files {
		if err := f.write(out); err != nil {
			return fmt.Errorf("put %s into %s: %w", f.Path, i.Name, err)
		}
	}
	return out.Close()
}

func (f file) write(out *tar.Writer) error {
	header := &tar.Header{Name: f.Path, Mode: f.Mode}
	switch {
	case f.Link != "":
		header.Typeflag, header.Linkname = tar.TypeSymlink, f.Link
		return out.WriteHeader(header)
	case f.Text != "":
		header.Typeflag, header.Size = tar.TypeReg, int64(len(f.Text))
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		_, err := io.WriteString(out, f.Text)
		return err
	case f.Source == "":
		header.Typeflag = tar.TypeDir
		return out.WriteHeader(header)
	}
	source, err := os.Open(f.Source)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(out, source)
	return err
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
	path := filepath.Join(dir, fmt.Sprintf("%s-%.6x.tar", ShortName(i.Name), hash.Sum(nil)))
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
