package oci

import (
	"archive/tar"
	"io"
	"os"
)

// A File is a regular file when it has a Source or a Text, a symbolic link when it has a Link, and otherwise a folder.
// It belongs to root, and is from 1970.
type File struct {
	Path   string
	Source string `json:",omitempty"` // where its content is on this machine
	Text   string `json:",omitempty"` // its content itself
	Link   string `json:",omitempty"`
	Mode   int64  `json:",omitempty"`
}

func (f File) write(out *tar.Writer) error {
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
