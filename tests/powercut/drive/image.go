package drive

import (
	"errors"
	"io"
	"maps"
	"os"

	"golang.org/x/sys/unix"
)

const pageSize = 4096

// zeros is what a page holds that was never written.
var zeros [pageSize]byte

// Image is what is on a drive. Pages are never changed in place: images share
// them.
type Image struct {
	size  int64
	pages map[int64]*[pageSize]byte // by number; none for zeros
}

// Read reads an image from a file, of which holes are skipped.
func Read(file string) (*Image, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m := &Image{size: info.Size(), pages: map[int64]*[pageSize]byte{}}
	for at := int64(0); ; {
		at, err = unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // no more data
			return m, nil
		}
		if err != nil {
			return nil, err
		}
		hole, err := unix.Seek(int(f.Fd()), at, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		data := make([]byte, hole-at)
		if _, err := io.ReadFull(io.NewSectionReader(f, at, hole-at), data); err != nil {
			return nil, err
		}
		m.write(at, data)
		at = hole
	}
}

// Clone returns a copy: what is written to one is not seen in the other.
func (m *Image) Clone() *Image { return &Image{m.size, maps.Clone(m.pages)} }

// read fills data with what is at an offset.
func (m *Image) read(offset int64, data []byte) {
	for len(data) > 0 {
		page, start := offset/pageSize, offset%pageSize
		from := m.pages[page]
		if from == nil {
			from = &zeros
		}
		n := copy(data, from[start:])
		data, offset = data[n:], offset+int64(n)
	}
}

func (m *Image) write(offset int64, data []byte) {
	for len(data) > 0 {
		page, start := offset/pageSize, offset%pageSize
		changed := new([pageSize]byte)
		if old := m.pages[page]; old != nil {
			*changed = *old
		}
		n := copy(changed[start:], data)
		if *changed == zeros {
			delete(m.pages, page)
		} else {
			m.pages[page] = changed
		}
		data, offset = data[n:], offset+int64(n)
	}
}

// zero overwrites a range with zeros.
func (m *Image) zero(offset, length int64) {
	for length > 0 {
		n := min(length, pageSize-offset%pageSize)
		if n == pageSize {
			delete(m.pages, offset/pageSize)
		} else {
			m.write(offset, zeros[:n])
		}
		offset, length = offset+n, length-n
	}
}
