// Command image writes hostdir's image as an OCI archive, of programs that are built already. It is the image that the
// Dockerfile makes, for all platforms at once.
//
//	image NAME ARCHIVE ARCHITECTURE=FOLDER...
//
// NAME has the version as its tag; a FOLDER holds the programs for an ARCHITECTURE, by Go's name.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostdir/hostdir/deploy/oci"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: image NAME ARCHIVE ARCHITECTURE=FOLDER...")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func write(name, path string, platforms []string) error {
	archive := oci.Archive{Name: name, Compress: true}
	_, version, _ := strings.Cut(filepath.Base(name), ":")
	for _, p := range platforms {
		architecture, folder, _ := strings.Cut(p, "=")
		archive.Images = append(archive.Images, image(version, architecture, folder))
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := archive.Write(out); err != nil {
		return err
	}
	return out.Close()
}

// image says what the Dockerfile says.
func image(version, architecture, folder string) oci.Image {
	i := oci.Image{
		Architecture: architecture,
		Entrypoint:   []string{"/hostdir"},
		Labels: map[string]string{
			"org.opencontainers.image.title":       "hostdir",
			"org.opencontainers.image.description": "CSI driver that gives each PersistentVolumeClaim a directory on its pod's node",
			"org.opencontainers.image.source":      "https://github.com/hostdir/hostdir",
			"org.opencontainers.image.version":     version,
		},
	}
	for _, program := range []string{"hostdir", "hostdir-controller"} {
		i.Files = append(i.Files, oci.File{Path: program, Source: filepath.Join(folder, program), Mode: 0o755})
	}
	return i
}
