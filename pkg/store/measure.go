package store

import (
	"time"

	"github.com/hostdir/hostdir/pkg/dir"
)

// space is what statfs(2) said last of a disk's filesystem.
type space struct {
	dir.Space
	// at is zero before the first time; err is why it could not be asked since.
	at  time.Time
	err error
}

// measure looks at a disk's filesystem.
func (o openDisk) measure() (dir.Space, error) {
	s, err := o.root.Space()
	o.measured(s, err)
	return s, err
}

// sample is measure of a disk that is not open.
func (d *diskState) sample() error {
	end := d.calls.begin("a look at it", lookPatience)
	defer end()
	o, err := d.open()
	if err != nil {
		d.measured(dir.Space{}, err)
		return err
	}
	defer o.close()
	_, err = o.measure()
	return err
}

// measured notes what a look has found. That this process has run out of something
// says nothing of the disk: what was found before stands.
func (d *diskState) measured(s dir.Space, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil:
		d.space = space{Space: s, at: time.Now()}
	case !dir.IsPassing(err):
		d.space.err = err
	}
}

// spaceErr returns why the filesystem could not be looked at the last time.
func (d *diskState) spaceErr() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.space.err
}
