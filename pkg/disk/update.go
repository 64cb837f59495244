package disk

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
)

const (
	// markerPatience is how long a change of a marker waits for another one, and
	// markerPoll how often it looks.
	markerPatience = time.Second
	markerPoll     = 5 * time.Millisecond
)

// errChanged is returned where a marker is not the one any more that was seen.
var errChanged = Refuse(Pending, "its %s was changed a moment ago: nothing was done, hostdir looks again soon", MarkerFile)

// update changes the marker of the disk that is open, if it still is the one that
// was seen. Whoever changes a marker has the disk's directory locked meanwhile, also
// against processes that have nothing else in common.
func update(d *dir.Dir, seen Marker, change func(*Marker)) (Marker, error) {
	unlock, err := lock(d)
	if err != nil {
		return Marker{}, err
	}
	defer unlock()
	m, err := loadMarker(d)
	if err != nil {
		return Marker{}, err
	}
	if m.UUID != seen.UUID || m.Generation != seen.Generation {
		return Marker{}, errChanged
	}
	was := m
	if change(&m); m == was {
		return m, nil
	}
	data, err := m.encode()
	if err != nil {
		return Marker{}, err
	}
	return m, d.ReplaceFile(MarkerNewFile, MarkerFile, data)
}

// WithMarkerLocked calls do while nobody changes the marker of the disk that is
// open.
func WithMarkerLocked(d *dir.Dir, do func() error) error {
	unlock, err := lock(d)
	if err != nil {
		return err
	}
	defer unlock()
	return do()
}

// lock locks an open directory. The kernel gives the lock back with the descriptor.
func lock(d *dir.Dir) (unlock func(), err error) {
	for deadline := time.Now().Add(markerPatience); ; time.Sleep(markerPoll) {
		err := unix.Flock(d.FD(), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS):
			return func() {}, nil // a filesystem of another machine, that nobody can lock
		case err == nil:
			return func() { _ = unix.Flock(d.FD(), unix.LOCK_UN) }, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return nil, d.Wrap("flock", ".", err)
		case time.Now().After(deadline):
			return nil, Refuse(Pending, "somebody else has been changing its %s for more than %s: hostdir looks again soon", MarkerFile, markerPatience)
		}
	}
}
