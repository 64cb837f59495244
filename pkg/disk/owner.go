package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
)

// Two hostdirs that use one disk would promise its room twice and clear away each
// other's half-built volumes. So a disk has an owner: owner.json says which hostdir
// uses it, and its modification time changes as long as that one runs. Clocks are
// not compared: whoever waits for an owner to fall silent watches with his own.

const (
	// OwnerFile is in a disk's directory, beside the marker.
	OwnerFile = "owner.json"
	// OwnerNewFile is one that is being replaced.
	OwnerNewFile = ".owner.json.new"
)

const (
	// OwnerInterval is how often an owner shows that it runs.
	OwnerInterval = 20 * time.Second
	// OwnerPatience is how long one that runs may not be able to.
	OwnerPatience = 90 * time.Second
)

// Owner is the hostdir that uses a disk.
type Owner struct {
	// Node is the node's name, and Instance what distinguishes one hostdir of that
	// node, or of another node of that name, from another.
	Node     string `json:"node"`
	Instance string `json:"instance"`
}

func (o Owner) String() string { return fmt.Sprintf("hostdir on node %s", o.Node) }

// Sign is a sign of life of a disk's owner, as it was last seen.
type Sign struct {
	Owner
	at unix.Timespec
}

// released is the time of a sign whose owner has ended.
var released = unix.Timespec{Sec: 1}

// ReadSign returns the sign of a disk's owner. It is the zero value for a disk that
// has none, also if a crash has torn it.
func ReadSign(d *dir.Dir) (Sign, error) {
	stat, err := d.Lstat(OwnerFile)
	if err != nil {
		return Sign{}, ignoreMissing(err)
	}
	data, err := d.ReadFile(OwnerFile)
	if err != nil {
		return Sign{}, ignoreMissing(err)
	}
	s := Sign{at: stat.Mtim}
	if err := json.Unmarshal(data, &s.Owner); err != nil || s.Node == "" {
		return Sign{}, nil
	}
	return s, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Own makes an open disk, which Look has found with the sign seen, that of the owner.
// If another one was faster it returns an error. A disk that cannot be written to is
// used without a sign, and the error says why there is none, with used set.
func (o Owner) Own(d *dir.Dir, seen Sign) (used bool, err error) {
	unlock, err := lock(d)
	if err != nil {
		return false, err
	}
	defer unlock()
	now, err := ReadSign(d)
	switch {
	case err != nil:
		return false, err
	case now.Owner != o && now != seen:
		return false, Refuse(Pending, "%s uses it since a moment ago: hostdir looks again soon", now.Owner)
	}
	// What a crash has left. Nobody else is writing them: that takes the lock.
	_ = d.Unlink(MarkerNewFile)
	_ = d.Unlink(OwnerNewFile)
	if now.Owner == o {
		return true, o.touch(d, unix.Timespec{Nsec: unix.UTIME_NOW})
	}
	data, err := json.Marshal(o)
	if err != nil {
		return false, err
	}
	return true, d.ReplaceFile(OwnerNewFile, OwnerFile, append(data, '\n'))
}

// Show shows that the owner of an open disk still uses it. A sign that is gone is
// made anew; that of another owner is left alone.
func (o Owner) Show(d *dir.Dir) error {
	now, err := ReadSign(d)
	switch {
	case err != nil || now.Owner != o && now != Sign{}:
		return err
	case now == Sign{}:
		_, err = o.Own(d, now)
		return err
	}
	return o.touch(d, unix.Timespec{Nsec: unix.UTIME_NOW})
}

// Release lets the next owner of an open disk know that this one has ended.
func (o Owner) Release(d *dir.Dir) error {
	unlock, err := lock(d)
	if err != nil {
		return err
	}
	defer unlock()
	if now, err := ReadSign(d); err != nil || now.Owner != o {
		return err
	}
	return o.touch(d, released)
}

func (o Owner) touch(d *dir.Dir, at unix.Timespec) error {
	err := unix.UtimesNanoAt(d.FD(), OwnerFile, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, at}, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return d.Wrap("utimensat", OwnerFile, err)
	}
	return nil
}

// Watch is how long the sign of a disk has been the same.
type Watch struct {
	Sign  Sign
	since time.Time
}

// Saw notes a sign that was seen now.
func (w *Watch) Saw(s Sign, now time.Time) {
	if w.since.IsZero() || w.Sign != s {
		*w = Watch{s, now}
	}
}

// Claim is what another hostdir has on a disk.
type Claim int

const (
	// Unclaimed: nobody else has used it last.
	Unclaimed Claim = iota
	// Left: one of this node has, and does not run any more.
	Left
	// Foreign: one of another node has, and does not run any more.
	Foreign
	// Running: another one may be using it now.
	Running
)

// Claim returns what another hostdir than o has on the disk that was watched. One
// whose sign has not changed for as long as patience does not run any more.
func (w Watch) Claim(o Owner, now time.Time, patience time.Duration) Claim {
	s := w.Sign
	switch {
	case s == Sign{} || s.Owner == o:
		return Unclaimed
	case s.at != released && now.Sub(w.since) < patience:
		return Running
	case s.Node == o.Node:
		return Left
	default:
		return Foreign
	}
}
