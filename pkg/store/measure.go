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
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.space.err = err; err == nil {
		o.space.Space, o.space.at = s, time.Now()
	}
	return s, err
}

// sample is measure of a disk that is not open.
func (d *diskState) sample() error {
	end := d.calls.begin("a look at it", lookPatience)
	defer end()
	o, err := d.open()
	if err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.space.err = err
		return err
	}
	defer o.close()
	_, err = o.measure()
	return err
}

// spaceErr returns why the filesystem could not be looked at the last time.
func (d *diskState) spaceErr() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.space.err
}
