package drive

import (
	"fmt"
	"math/rand/v2"
)

// entry is what a drive was told to do: to write data, to write zeros, or to
// flush.
type entry struct {
	offset int64
	data   []byte
	zeros  int64
	flush  bool
}

func (e entry) apply(m *Image) {
	if e.zeros > 0 {
		m.zero(e.offset, e.zeros)
	} else {
		m.write(e.offset, e.data)
	}
}

// Log is what a drive was told to do since it had its first content. A position
// in it is a number of entries.
type Log struct {
	first   *Image
	sector  int // what is written as a whole or not at all, in bytes
	entries []entry
}

// End is the position behind the last entry.
func (l *Log) End() int { return len(l.entries) }

// Flushes are the positions right behind each flush.
func (l *Log) Flushes() []int {
	var at []int
	for i, e := range l.entries {
		if e.flush {
			at = append(at, i+1)
		}
	}
	return at
}

// Loss is what became of the writes that no flush had covered.
type Loss struct{ Kept, Torn, Dropped int }

func (l Loss) String() string {
	return fmt.Sprintf("%d unflushed writes kept, %d torn, %d dropped", l.Kept, l.Torn, l.Dropped)
}

// Cut returns what is on the drive after a power cut at a position, and what was
// lost. luck decides about the writes after the last flush; nil drops them all.
func (l *Log) Cut(position int, luck *rand.Rand) (*Image, Loss) {
	m := l.first.Clone()
	var loss Loss
	durable := position
	for durable > 0 && !l.entries[durable-1].flush {
		durable--
	}
	for _, e := range l.entries[:durable] {
		e.apply(m)
	}
	if luck == nil {
		loss.Dropped = position - durable
		return m, loss
	}
	keep := luck.Float64() // some cuts lose nearly all, some nearly nothing
	for _, e := range l.entries[durable:position] {
		switch {
		case luck.Float64() < keep:
			e.apply(m)
			loss.Kept++
		case len(e.data) > l.sector && luck.IntN(2) == 0:
			for at := 0; at < len(e.data); at += l.sector {
				if luck.IntN(2) == 0 {
					m.write(e.offset+int64(at), e.data[at:min(at+l.sector, len(e.data))])
				}
			}
			loss.Torn++
		default:
			loss.Dropped++
		}
	}
	return m, loss
}
