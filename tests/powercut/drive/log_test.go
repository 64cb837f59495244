package drive

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// fill is data that is one byte over and over.
func fill(b byte, size int) []byte { return bytes.Repeat([]byte{b}, size) }

func TestCut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(file, fill('-', 4*pageSize), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	log := Log{first: first, sector: 512, entries: []entry{
		{offset: 0, data: fill('a', 100)},
		{offset: pageSize, zeros: 2 * pageSize},
		{flush: true},
		{offset: 50, data: fill('b', 100)},
		{offset: pageSize, data: fill('c', pageSize)},
	}}
	content := func(m *Image) []byte {
		data := make([]byte, m.size)
		m.read(0, data)
		return data
	}
	write := func(data []byte, offset int, what []byte) []byte {
		data = bytes.Clone(data)
		copy(data[offset:], what)
		return data
	}
	before := fill('-', 4*pageSize)
	flushed := write(write(before, 0, fill('a', 100)), pageSize, make([]byte, 2*pageSize))

	for position, want := range [][]byte{before, before, before, flushed, flushed, flushed} {
		m, _ := log.Cut(position, nil)
		if !bytes.Equal(content(m), want) {
			t.Errorf("cut at %d without luck: something else than what was flushed", position)
		}
	}
	sum := Loss{}
	for seed := range uint64(1000) {
		m, loss := log.Cut(5, rand.New(rand.NewPCG(seed, 0)))
		got := content(m)
		if loss.Kept+loss.Torn+loss.Dropped != 2 {
			t.Fatalf("of two writes: %s", loss)
		}
		sum.Kept, sum.Torn, sum.Dropped = sum.Kept+loss.Kept, sum.Torn+loss.Torn, sum.Dropped+loss.Dropped
		if b := write(flushed, 50, fill('b', 100)); !bytes.Equal(got[:pageSize], flushed[:pageSize]) && !bytes.Equal(got[:pageSize], b[:pageSize]) {
			t.Fatal("a sector was torn")
		}
		for at := pageSize; at < 2*pageSize; at += 512 {
			if s := got[at : at+512]; !bytes.Equal(s, fill('c', 512)) && !bytes.Equal(s, make([]byte, 512)) {
				t.Fatal("a sector was torn")
			}
		}
		if !bytes.Equal(got[2*pageSize:], flushed[2*pageSize:]) {
			t.Fatal("what nobody wrote to has changed")
		}
	}
	if sum.Kept < 100 || sum.Torn < 100 || sum.Dropped < 100 {
		t.Errorf("luck is not even: %s", sum)
	}
	if !bytes.Equal(content(first), before) {
		t.Error("a cut has changed what the drive held at first")
	}
}
