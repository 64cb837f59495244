package disk

import (
	"time"

	"github.com/hostdir/hostdir/pkg/dir"
)

// Cordon notes in the marker of a disk that it takes no new volumes since now, or
// with a zero time that it takes them again. It goes wherever the disk goes. A disk
// that is cordoned already stays so since then.
func Cordon(d *dir.Dir, seen Marker, since time.Time) (Marker, error) {
	return update(d, seen, func(m *Marker) {
		if m.Cordoned.IsZero() || since.IsZero() {
			m.Cordoned = since
		}
	})
}
