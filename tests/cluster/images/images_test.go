package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGolangBases(t *testing.T) {
	const dockerfile = `# FROM golang:1.0
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
RUN true
from docker.io/library/golang:1.27
FROM scratch
FROM example.com/golang:1
`
	want := []string{"docker.io/library/golang:1.26", "docker.io/library/golang:1.27"}
	if diff := cmp.Diff(want, golangBases(dockerfile)); diff != "" {
		t.Error(diff)
	}
}

func TestArchive(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	img := image{Name: "example.com/a/b:1", Entrypoint: []string{"/bin/program"}, Files: []file{
		{Path: "bin/", Mode: 0o755},
		{Path: "bin/program", Source: source, Mode: 0o755},
		{Path: "bin/other", Link: "program"},
		{Path: "bin/script", Text: "#!/bin/sh\n", Mode: 0o755},
	}}
	path, err := img.cached(filepath.Join(dir, "images"))
	if err != nil {
		t.Fatal(err)
	}
	archive, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	parts := readTar(t, archive)

	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(parts["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"example.com/a/b:1"}, manifest[0].RepoTags); diff != "" {
		t.Error(diff)
	}
	var config struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(parts[manifest[0].Config], &config); err != nil {
		t.Fatal(err)
	}
	layer := parts[manifest[0].Layers[0]]
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256(layer)); config.RootFS.DiffIDs[0] != want {
		t.Errorf("the layer is %s, the config says %s", want, config.RootFS.DiffIDs[0])
	}
	files := readTar(t, bytes.NewReader(layer))
	for path, want := range map[string]string{"bin/program": "content", "bin/script": "#!/bin/sh\n"} {
		if got := string(files[path]); got != want {
			t.Errorf("%s holds %q, want %q", path, got, want)
		}
	}

	if again, err := img.cached(filepath.Join(dir, "images")); err != nil || again != path {
		t.Errorf("asked again: %s, %v, want %s", again, err, path)
	}
	if err := os.WriteFile(source, []byte("other content"), 0o644); err != nil {
		t.Fatal(err)
	}
	if changed, err := img.cached(filepath.Join(dir, "images")); err != nil || changed == path {
		t.Errorf("asked after a change: %s, %v, want another archive", changed, err)
	}
}

func readTar(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	parts := map[string][]byte{}
	in := tar.NewReader(r)
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		if parts[header.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
}
