package images

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/deploy/oci"
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

func TestArchivesAreKeptByTheirContent(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	img := image{Name: "example.com/a/b:1", Files: []oci.File{{Path: "bin/program", Source: source, Mode: 0o755}}}
	path, err := img.cached(filepath.Join(dir, "images"))
	if err != nil {
		t.Fatal(err)
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
