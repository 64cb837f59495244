package store

import (
	"bytes"
	"crypto/rand"
	"os"
	"testing"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
)

// TestSnapshotStatus tells what snapshots hold alone: copies all, subvolumes what was
// changed since where btrfs counts it, and of the rest nobody knows.
func TestSnapshotStatus(t *testing.T) {
	onSnapshots(t, func(w *snapshotWorld) {
		v := w.volume("pvc-1")
		large := make([]byte, 4*mebibyte)
		rand.Read(large)
		if err := os.WriteFile(v.Path+"/large", large, 0o600); err != nil {
			w.Fatal(err)
		}
		disk.Sync(w.T, w.base)
		made := w.take(snapshotOf(v, "snapshot-1"))
		alone := func() *int64 {
			disk.Sync(w.T, w.base)
			all := w.s.SnapshotStatus(w.Context())
			if len(all) != 1 || all[0].ID != made.ID || !all[0].Ready || all[0].Progress != nil {
				w.Fatalf("%+v", all)
			}
			return all[0].AloneBytes
		}
		before := alone()
		if err := os.WriteFile(v.Path+"/large", bytes.Repeat([]byte("other"), len(large)/5), 0o600); err != nil {
			w.Fatal(err)
		}
		after := alone()
		switch {
		case w.method == SnapshotCopy:
			if before == nil || *before != made.Bytes || after == nil || *after != made.Bytes {
				w.Errorf("a copy of %d bytes holds %v alone, and then %v", made.Bytes, before, after)
			}
		case w.method == SnapshotSubvolume && w.limited:
			if before == nil || *before >= mebibyte || after == nil || *after < 4*mebibyte || *after > 6*mebibyte {
				w.Errorf("it holds %d bytes alone, and %d after 4 MiB were written anew", deref(before), deref(after))
			}
		case before != nil || after != nil:
			w.Errorf("it holds %d bytes alone, which nobody can know, and then %d", deref(before), deref(after))
		}
		if s := w.s.Status()[0]; s.Snapshots != 1 || s.SnapshotBytes != made.Bytes || s.UnreadySnapshots != 0 || s.QuarantinedSnapshots != 0 {
			w.Errorf("the disk's status is %+v", s)
		}
	})
}

func deref(n *int64) int64 {
	if n == nil {
		return -1
	}
	return *n
}

// TestSnapshotUnderWay shows a snapshot and a volume that are being copied.
func TestSnapshotUnderWay(t *testing.T) {
	onSnapshots(t, func(w *snapshotWorld) {
		if w.method != SnapshotCopy {
			w.Skip("it is made at once")
		}
		v := w.volume("pvc-1")
		for range maxCopies { // others are at work, so that it has to wait
			leave, err := only(w.T, w.s).copying(w.Context())
			if err != nil {
				w.Fatal(err)
			}
			defer leave()
		}
		made, err := w.s.CreateSnapshot(w.Context(), snapshotOf(v, "snapshot-1"), anyUse)
		if err != nil || made.Ready {
			w.Fatalf("%+v: %v", made, err)
		}
		_, err = w.s.Create(w.Context(), w.from(v.ID, "pvc-2", 0))
		if err == nil {
			w.Fatal("a volume was copied")
		}
		all, copies := w.s.SnapshotStatus(w.Context()), w.s.Copies()
		if len(all) != 1 || all[0].ID != made.ID || all[0].Ready || all[0].Claim != v.Claim || all[0].VolumeSnapshot.Name != "nightly" || all[0].AloneBytes != nil {
			w.Errorf("under way are %+v", all)
		}
		if len(copies) != 1 || copies[0].Volume != "pvc-2" || copies[0].Source != v.ID {
			w.Errorf("copies under way are %+v", copies)
		}
		if s := w.s.Status()[0]; s.Snapshots != 0 || s.UnreadySnapshots != 1 {
			w.Errorf("the disk's status is %+v", s)
		}
		wantClass(w.T, w.s.DeleteSnapshot(w.Context(), made.ID), errdefs.ErrNotFound)
		if err := w.s.jobs.stop(w.Context(), "pvc-2", stay); err != nil {
			w.Error(err)
		}
		if all, copies := w.s.SnapshotStatus(w.Context()), w.s.Copies(); len(all) != 0 || len(copies) != 0 {
			w.Errorf("after they were ended: %+v, %+v", all, copies)
		}
	})
}
