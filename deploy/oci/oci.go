// Package oci writes container images as archives in the layout of the Open Container Initiative, which containerd,
// skopeo, podman and buildah read. It needs no daemon, and the same files give the same bytes.
package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// An Archive is an image for one or more architectures, under one name.
type Archive struct {
	Name     string // with its tag
	Images   []Image
	Compress bool // the layers, with gzip
}

// An Image is a root filesystem of one layer, and what to run in it, on Linux.
type Image struct {
	Architecture string // by Go's name
	Files        []File
	Entrypoint   []string
	Cmd          []string
	Env          []string
	Labels       map[string]string
}

// Media types and annotations, of github.com/opencontainers/image-spec, but for the last, which is containerd's.
const (
	typeIndex     = "application/vnd.oci.image.index.v1+json"
	typeManifest  = "application/vnd.oci.image.manifest.v1+json"
	typeConfig    = "application/vnd.oci.image.config.v1+json"
	typeLayer     = "application/vnd.oci.image.layer.v1.tar"
	annotationRef = "org.opencontainers.image.ref.name"
	containerdRef = "io.containerd.image.name"
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type runtime struct {
	Entrypoint []string          `json:",omitempty"`
	Cmd        []string          `json:",omitempty"`
	Env        []string          `json:",omitempty"`
	Labels     map[string]string `json:",omitempty"`
}

// Write writes the archive: an index of manifests by their platforms, which carries the name.
func (a Archive) Write(w io.Writer) error {
	out := tar.NewWriter(w)
	images := index{SchemaVersion: 2, MediaType: typeIndex}
	for _, i := range a.Images {
		d, err := i.write(out, a.Compress)
		if err != nil {
			return fmt.Errorf("write image %s for %s: %w", a.Name, i.Architecture, err)
		}
		images.Manifests = append(images.Manifests, d)
	}
	d, err := writeJSON(out, typeIndex, images)
	if err != nil {
		return err
	}
	d.Annotations = map[string]string{annotationRef: a.Name, containerdRef: a.Name}
	top, err := json.Marshal(index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{d}})
	if err != nil {
		return err
	}
	if err := writeFile(out, "index.json", int64(len(top)), bytes.NewReader(top)); err != nil {
		return err
	}
	const layout = `{"imageLayoutVersion":"1.0.0"}`
	if err := writeFile(out, "oci-layout", int64(len(layout)), bytes.NewReader([]byte(layout))); err != nil {
		return err
	}
	return out.Close()
}

// write writes the layer, the configuration and the manifest, and returns the last's descriptor.
func (i Image) write(out *tar.Writer, compress bool) (descriptor, error) {
	layer, diffID, err := i.writeLayer(out, compress)
	if err != nil {
		return descriptor{}, err
	}
	config, err := writeJSON(out, typeConfig, map[string]any{
		"architecture": i.Architecture,
		"os":           "linux",
		"created":      time.Unix(0, 0).UTC(), // whenever it is built: the same bytes
		"config":       runtime{i.Entrypoint, i.Cmd, i.Env, i.Labels},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{diffID}},
	})
	if err != nil {
		return descriptor{}, err
	}
	d, err := writeJSON(out, typeManifest, manifest{2, typeManifest, config, []descriptor{layer}})
	d.Platform = &platform{i.Architecture, "linux"}
	return d, err
}

// writeLayer also returns the digest of the layer as it is before it is compressed.
func (i Image) writeLayer(out *tar.Writer, compress bool) (d descriptor, diffID string, err error) {
	layer, err := os.CreateTemp("", "layer-")
	if err != nil {
		return descriptor{}, "", err
	}
	defer os.Remove(layer.Name())
	defer layer.Close()
	plain, packed := sha256.New(), sha256.New()
	stored := io.MultiWriter(layer, packed)
	if compress {
		zip := gzip.NewWriter(stored)
		if err := i.pack(io.MultiWriter(zip, plain)); err != nil {
			return descriptor{}, "", err
		}
		if err := zip.Close(); err != nil {
			return descriptor{}, "", err
		}
		d.MediaType = typeLayer + "+gzip"
	} else {
		if err := i.pack(io.MultiWriter(stored, plain)); err != nil {
			return descriptor{}, "", err
		}
		d.MediaType = typeLayer
	}
	if d.Size, err = layer.Seek(0, io.SeekCurrent); err != nil {
		return descriptor{}, "", err
	}
	if _, err := layer.Seek(0, io.SeekStart); err != nil {
		return descriptor{}, "", err
	}
	d.Digest = fmt.Sprintf("sha256:%x", packed.Sum(nil))
	return d, fmt.Sprintf("sha256:%x", plain.Sum(nil)), writeBlob(out, d, layer)
}

func (i Image) pack(w io.Writer) error {
	out := tar.NewWriter(w)
	for _, f := range i.Files {
		if err := f.write(out); err != nil {
			return fmt.Errorf("pack %s: %w", f.Path, err)
		}
	}
	return out.Close()
}

func writeJSON(out *tar.Writer, mediaType string, content any) (descriptor, error) {
	text, err := json.Marshal(content)
	if err != nil {
		return descriptor{}, err
	}
	d := descriptor{MediaType: mediaType, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(text)), Size: int64(len(text))}
	return d, writeBlob(out, d, bytes.NewReader(text))
}

func writeBlob(out *tar.Writer, d descriptor, content io.Reader) error {
	return writeFile(out, "blobs/sha256/"+d.Digest[len("sha256:"):], d.Size, content)
}

func writeFile(out *tar.Writer, path string, size int64, content io.Reader) error {
	if err := out.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	_, err := io.Copy(out, content)
	return err
}
