package store

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

func TestExpand(t *testing.T) {
	s, base := newStore(t)
	v := mustCreate(t, s, request("pvc-1"))
	const size = mebibyte // of request
	for _, test := range []struct {
		name            string
		required, limit int64
		want            int64
		class           error
	}{
		{"to what it has", size, 0, size, nil},
		{"to less: volumes do not shrink", size / 2, 0, size, nil},
		{"to nothing in particular", 0, 0, size, nil},
		{"below what it has", size / 4, size / 2, 0, errdefs.ErrOutOfRange},
		{"to a negative size", -1, 0, 0, errdefs.ErrInvalid},
		{"to more than allowed", 2 * size, size, 0, errdefs.ErrOutOfRange},
		{"beyond the disk", math.MaxInt64, 0, 0, errdefs.ErrNoSpace},
		{"to twice its size", 2 * size, 0, 2 * size, nil},
		{"the same again", 2 * size, 2 * size, 2 * size, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := capacityNow(t, s, v.ID)
			got, err := s.Expand(t.Context(), v.ID, test.required, test.limit)
			if test.class != nil {
				wantClass(t, err, test.class)
				if now := capacityNow(t, s, v.ID); now != before {
					t.Errorf("a refused expansion changed the capacity from %d to %d", before, now)
				}
				return
			}
			if err != nil || got != test.want || capacityNow(t, s, v.ID) != test.want {
				t.Errorf("capacity %d, %v; want %d", got, err, test.want)
			}
		})
	}
	if got := capacityNow(t, reopen(t, s), v.ID); got != 2*size {
		t.Errorf("after a restart the capacity is %d", got)
	}
	wantNames(t, filepath.Join(base, volumesDir, "pvc-1"), dataDir, recordFile)
}

// TestExpandFinishes retries a call that failed once the record was written.
func TestExpandFinishes(t *testing.T) {
	s, _ := newStore(t)
	v := mustCreate(t, s, request("pvc-1"))
	const grown = 3 * mebibyte
	leaveRecordGrown(t, v, grown)
	if got, err := s.Expand(t.Context(), v.ID, grown, 0); err != nil || got != grown {
		t.Errorf("expanded to %d: %v", got, err)
	}
	if got := s.Volumes()[0].CapacityBytes; got != grown || s.Status()[0].AllocatedBytes != grown {
		t.Errorf("the store goes by %d bytes, %d are allocated; want %d", got, s.Status()[0].AllocatedBytes, grown)
	}
}

// leaveRecordGrown leaves on disk what a call does that fails right after it has
// written the record.
func leaveRecordGrown(t *testing.T, v Volume, capacity int64) {
	t.Helper()
	v.CapacityBytes = capacity
	leaveRecord(t, v)
}

// leaveRecord writes a volume's record, of which the store does not know.
func leaveRecord(t *testing.T, v Volume) {
	t.Helper()
	d, err := dir.Open(filepath.Dir(v.Path))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := replaceRecord(d, v.Record); err != nil {
		t.Fatal(err)
	}
}

func TestExpandWithoutDisk(t *testing.T) {
	s, base := newStore(t)
	v := mustCreate(t, s, request("pvc-1"))
	if err := os.Rename(filepath.Join(base, markerFile), filepath.Join(base, "aside")); err != nil {
		t.Fatal(err)
	}
	_, err := s.Expand(t.Context(), v.ID, 1<<30, 0)
	wantClass(t, err, errdefs.ErrUnavailable)
}

func capacityNow(t *testing.T, s *Store, volumeID string) int64 {
	t.Helper()
	v, err := s.Volume(t.Context(), volumeID)
	if err != nil {
		t.Fatal(err)
	}
	return v.CapacityBytes
}
