package store

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// held is a place at which a call waits for the test.
type held struct{ reached, released chan struct{} }

func newHeld() held { return held{make(chan struct{}, 1), make(chan struct{})} }

func (h held) wait() {
	h.reached <- struct{}{}
	<-h.released
}

// TestCreateLeftBeforeCommit leaves a call behind that has not come to its commit:
// it never makes a volume, and its room and name are free at once.
func TestCreateLeftBeforeCommit(t *testing.T) {
	base := mountTmpfs(t, "size=16m")
	s := openStore(t, onePool(base))
	d := only(t, s)
	at := newHeld()
	limitBy(d, &fakeQuota{wait: at.wait})
	before := s.Capacity(defaultClass)
	_, err := s.Create(soon(t, 100*time.Millisecond), request("pvc-1"))
	wantClass(t, err, errdefs.ErrNoSpace) // another node may be tried
	if now := s.Capacity(defaultClass); now != before {
		t.Errorf("capacity %+v, it was %+v", now, before)
	}
	<-at.reached

	// A retry here would meet what is half built.
	_, err = s.Create(t.Context(), request("pvc-1"))
	wantClass(t, err, errdefs.ErrNoSpace)
	wantClass(t, err, errdefs.ErrBusy)

	close(at.released)
	awaitIdle(t, d)
	wantNames(t, filepath.Join(base, volumesDir))
	if n := len(s.Volumes()); n != 0 {
		t.Errorf("%d volumes, want none", n)
	}
	limitBy(d, &fakeQuota{})
	mustCreate(t, s, request("pvc-1"))
	wantNames(t, filepath.Join(base, volumesDir), "pvc-1")
}

// TestCreateLeftAtCommit leaves a call behind that has committed: nobody else may
// have the name until it is over, for nobody knows how it ends.
func TestCreateLeftAtCommit(t *testing.T) {
	base := mountTmpfs(t, "size=16m")
	s := openStore(t, onePool(base, mountTmpfs(t, "size=8m")))
	d := s.inUse()[0]
	d.links.Lock() // which the call takes once it has committed
	ctx := soon(t, 200*time.Millisecond)
	_, err := s.Create(ctx, request("pvc-1"))
	wantClass(t, err, errdefs.ErrUnavailable)
	wantClass(t, err, errLeftBehind)
	if errors.Is(err, errdefs.ErrNoSpace) {
		t.Errorf("another node would be tried: %v", err)
	}
	_, err = s.Create(t.Context(), request("pvc-1"))
	wantClass(t, err, errdefs.ErrBusy)
	d.links.Unlock()
	awaitIdle(t, d)
	v := Volume{}
	for range 100 {
		if v, err = s.Create(t.Context(), request("pvc-1")); !errors.Is(err, errdefs.ErrBusy) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil || filepath.Dir(filepath.Dir(filepath.Dir(v.Path))) != base || len(s.Volumes()) != 1 {
		t.Errorf("made again at %s, %v; there are %d volumes", v.Path, err, len(s.Volumes()))
	}
}

// TestCreateGoesElsewhere has the roomiest disk stop answering in the middle of a
// call: the volume is made on the other, and nowhere else.
func TestCreateGoesElsewhere(t *testing.T) {
	large, small := mountTmpfs(t, "size=16m"), mountTmpfs(t, "size=8m")
	s := openStore(t, onePool(large, small))
	hung := s.inUse()[0]
	at := newHeld()
	limitBy(hung, &fakeQuota{wait: at.wait})
	go func() {
		<-at.reached
		hang(t, hung)
	}()
	v := mustCreate(t, s, request("pvc-1"))
	if filepath.Dir(filepath.Dir(filepath.Dir(v.Path))) != small {
		t.Errorf("the volume is at %s, want it on %s", v.Path, small)
	}
	close(at.released)
	for len(hung.calls.places[change]) > 0 {
		time.Sleep(time.Millisecond)
	}
	wantNames(t, filepath.Join(large, volumesDir))
	wantNames(t, filepath.Join(small, volumesDir), "pvc-1")
	if n := len(s.Volumes()); n != 1 {
		t.Errorf("%d volumes, want 1", n)
	}
	if again := mustCreate(t, s, request("pvc-1")); again.ID != v.ID {
		t.Errorf("the same request makes %s, it made %s", again.ID, v.ID)
	}
}

// TestDeleteLeft leaves a call behind that deletes: the volume's name is locked
// until it is over, and a retry finds it done.
func TestDeleteLeft(t *testing.T) {
	s, base := newStore(t)
	d := only(t, s)
	v := mustCreate(t, s, request("pvc-1"))
	d.links.Lock()
	wantClass(t, s.Delete(soon(t, 100*time.Millisecond), v.ID, anyUse), errLeftBehind)
	wantClass(t, s.Delete(t.Context(), v.ID, anyUse), errdefs.ErrBusy)
	// Who only reads is not kept.
	_, err := s.Volume(t.Context(), v.ID)
	wantClass(t, err, errdefs.ErrNotFound)
	answer := hang(t, d)
	wantClass(t, s.Delete(t.Context(), v.ID, anyUse), errdefs.ErrUnavailable)
	answer()
	d.links.Unlock()
	awaitIdle(t, d)
	for err = s.Delete(t.Context(), v.ID, anyUse); errors.Is(err, errdefs.ErrBusy); err = s.Delete(t.Context(), v.ID, anyUse) {
		time.Sleep(time.Millisecond)
	}
	wantClass(t, err, errdefs.ErrNotFound)
	wantNames(t, filepath.Join(base, volumesDir))
}
