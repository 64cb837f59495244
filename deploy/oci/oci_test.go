package oci_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/deploy/oci"
)

func TestArchive(t *testing.T) {
	archive := oci.Archive{Name: "example.com/a/b:1"}
	for _, architecture := range []string{"amd64", "arm64"} {
		source := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(source, []byte("for "+architecture), 0o600); err != nil {
			t.Fatal(err)
		}
		archive.Images = append(archive.Images, oci.Image{
			Architecture: architecture,
			Entrypoint:   []string{"/bin/program"},
			Labels:       map[string]string{"a": "b"},
			Files: []oci.File{
				{Path: "bin/", Mode: 0o755},
				{Path: "bin/program", Source: source, Mode: 0o755},
				{Path: "bin/other", Link: "program"},
				{Path: "bin/script", Text: "#!/bin/sh\n", Mode: 0o755},
			},
		})
	}
	for _, compress := range []bool{false, true} {
		t.Run(fmt.Sprintf("compress %v", compress), func(t *testing.T) {
			archive.Compress = compress
			first, again := write(t, archive), write(t, archive)
			if !bytes.Equal(first, again) {
				t.Error("written twice it is not the same")
			}
			for i, i2 := range readImages(t, first, archive.Name) {
				want := archive.Images[i]
				if i2.Architecture != want.Architecture || i2.OS != "linux" || i2.Config.Labels["a"] != "b" || !cmp.Equal(i2.Config.Entrypoint, want.Entrypoint) {
					t.Errorf("image %d is %+v", i, i2)
				}
				layer := i2.layer
				if compress {
					zip, err := gzip.NewReader(bytes.NewReader(layer))
					if err != nil {
						t.Fatal(err)
					}
					if layer, err = io.ReadAll(zip); err != nil {
						t.Fatal(err)
					}
				}
				if digest := fmt.Sprintf("sha256:%x", sha256.Sum256(layer)); len(i2.RootFS.DiffIDs) != 1 || i2.RootFS.DiffIDs[0] != digest {
					t.Errorf("the layer is %s, the configuration says %v", digest, i2.RootFS.DiffIDs)
				}
				got := map[string]string{}
				for name, f := range readTar(t, layer) {
					got[name] = fmt.Sprintf("%c %o %s%s", f.Typeflag, f.Mode, f.Linkname, f.content)
				}
				if diff := cmp.Diff(map[string]string{
					"bin/": "5 755 ", "bin/program": "0 755 for " + want.Architecture, "bin/other": "2 0 program", "bin/script": "0 755 #!/bin/sh\n",
				}, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestArchiveOfMissingFile(t *testing.T) {
	archive := oci.Archive{Name: "a:1", Images: []oci.Image{{Architecture: "amd64", Files: []oci.File{{Path: "a", Source: filepath.Join(t.TempDir(), "missing")}}}}}
	if err := archive.Write(io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func write(t *testing.T, a oci.Archive) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := a.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// An image as it is read back.
type read struct {
	Architecture, OS string
	Config           struct {
		Entrypoint []string
		Labels     map[string]string
	}
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	}
	layer []byte
}

type descriptor struct {
	Digest      string
	Size        int64
	Platform    struct{ Architecture, OS string }
	Annotations map[string]string
}

// readImages follows an archive from index.json to the layers, each by its digest.
func readImages(t *testing.T, archive []byte, name string) []read {
	t.Helper()
	parts := readTar(t, archive)
	blob := func(d descriptor) []byte {
		content := parts["blobs/sha256/"+d.Digest[len("sha256:"):]].content
		if digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content)); digest != d.Digest || int64(len(content)) != d.Size {
			t.Fatalf("%s of %d bytes is %s of %d", d.Digest, d.Size, digest, len(content))
		}
		return content
	}
	type list struct{ Manifests []descriptor }
	top := decode[list](t, parts["index.json"].content)
	if len(top.Manifests) != 1 || top.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != name {
		t.Fatalf("index.json is %+v", top)
	}
	var images []read
	for _, d := range decode[list](t, blob(top.Manifests[0])).Manifests {
		manifest := decode[struct {
			Config descriptor
			Layers []descriptor
		}](t, blob(d))
		image := decode[read](t, blob(manifest.Config))
		if d.Platform.Architecture != image.Architecture || d.Platform.OS != image.OS || len(manifest.Layers) != 1 {
			t.Fatalf("the manifest for %v is %+v", d.Platform, manifest)
		}
		image.layer = blob(manifest.Layers[0])
		images = append(images, image)
	}
	return images
}

func decode[T any](t *testing.T, text []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

type entry struct {
	*tar.Header
	content []byte
}

func readTar(t *testing.T, archive []byte) map[string]entry {
	t.Helper()
	parts := map[string]entry{}
	for in := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		parts[header.Name] = entry{header, content}
	}
}
