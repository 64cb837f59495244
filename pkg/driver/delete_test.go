package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// soon is how late an answer may be on a busy machine. Nobody waits for deletePatience to
// end within it.
const soon = 5 * time.Second

// unhurried is for what does not wait at all: far less than deletePatience, and
// enough for a machine that has much else to do.
const unhurried = 3 * time.Second

// TestDeleteBeforeUnpublish has the delete come first, as it often does. The unpublish
// wakes it: it does not look by itself.
func TestDeleteBeforeUnpublish(t *testing.T) {
	first, longest := firstPause, longestPause
	firstPause, longestPause = time.Hour, time.Hour
	t.Cleanup(func() { firstPause, longestPause = first, longest })
	for _, ahead := range []time.Duration{0, 300 * time.Millisecond, 2 * time.Second} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			s := startDriver(t)
			id := s.published(t, "pvc-1")
			deleted := s.deleteAside(id)
			time.Sleep(ahead)
			wantCode(t, s.unpublish(id, s.targetOf("pvc-1")), codes.OK)
			wantSoon(t, deleted, codes.OK)
			s.wantGone(t, "pvc-1")
		})
	}
}

// TestDeleteBeforeUmount has a person unmount what hostdir did not mount.
func TestDeleteBeforeUmount(t *testing.T) {
	s := startDriver(t)
	id := s.create(t, "pvc-1")
	if err := os.Mkdir(s.target(1), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(filepath.Join(s.volumes, "pvc-1", "data"), s.target(1), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	deleted := s.deleteAside(id)
	time.Sleep(200 * time.Millisecond)
	if err := unix.Unmount(s.target(1), 0); err != nil {
		t.Fatal(err)
	}
	wantSoon(t, deleted, codes.OK)
}

// TestDeleteOfSharedVolume waits for the last of two pods.
func TestDeleteOfSharedVolume(t *testing.T) {
	s := startDriver(t)
	id := s.published(t, "pvc-1")
	wantCode(t, s.publish(id, s.target(2), capability(writer)), codes.OK)
	deleted := s.deleteAside(id)
	wantCode(t, s.unpublish(id, s.targetOf("pvc-1")), codes.OK)
	select {
	case err := <-deleted:
		t.Fatalf("a pod still has the volume, and its delete ends with %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	wantCode(t, s.unpublish(id, s.target(2)), codes.OK)
	wantSoon(t, deleted, codes.OK)
}

// TestDeleteDuringUnpublish meets the unpublish at work, and another delete.
func TestDeleteDuringUnpublish(t *testing.T) {
	s := startDriver(t)
	id := s.published(t, "pvc-1")
	var first, second <-chan error
	err := s.Store.WithLock(id, func() error {
		first, second = s.deleteAside(id), s.deleteAside(id)
		time.Sleep(50 * time.Millisecond)
		return s.Mounter.Unpublish(s.targetOf("pvc-1"), nil)
	})
	wantCode(t, err, codes.OK)
	wantSoon(t, first, codes.OK)
	wantSoon(t, second, codes.OK)
}

// TestDeleteOfPublishedAgain keeps a volume that a pod has again.
func TestDeleteOfPublishedAgain(t *testing.T) {
	s := startDriver(t)
	id := s.published(t, "pvc-1")
	deleted := make(chan error, 1)
	go func() { deleted <- s.deleteWithin(deleteReserve+time.Second, id) }()
	// Nothing is held: the volume can be used while its delete waits.
	for range 20 {
		wantCode(t, s.publish(id, s.target(2), capability(writer)), codes.OK)
		wantCode(t, s.unpublish(id, s.targetOf("pvc-1")), codes.OK)
		wantCode(t, s.publish(id, s.targetOf("pvc-1"), capability(writer)), codes.OK)
		wantCode(t, s.unpublish(id, s.target(2)), codes.OK)
	}
	wantCode(t, <-deleted, codes.FailedPrecondition)
	if _, err := os.Stat(filepath.Join(s.targetOf("pvc-1"), "file")); err != nil {
		t.Errorf("the volume of a pod that runs has lost its file: %v", err)
	}
}

// TestDeleteInTime answers before the caller has gone: with what it knows.
func TestDeleteInTime(t *testing.T) {
	s := startDriver(t)
	id := s.published(t, "pvc-1")
	for _, waits := range []time.Duration{-deleteReserve / 2, 0, 300 * time.Millisecond} {
		began := time.Now()
		wantCode(t, s.deleteWithin(deleteReserve+waits, id), codes.FailedPrecondition)
		if took := time.Since(began); took < waits || took > max(waits, 0)+unhurried {
			t.Errorf("with %s to wait, the answer took %s", waits, took)
		}
	}
	began := time.Now()
	wantCode(t, s.delete("default.pvc-2"), codes.OK)
	wantCode(t, s.delete("../pvc-1"), codes.OK)
	if took := time.Since(began); took > unhurried {
		t.Errorf("volumes that never were took %s to delete", took)
	}
}

// TestDeletesAtOnce has more deletes wait than there are places. Others work
// meanwhile, and each delete ends with its own unpublish.
func TestDeletesAtOnce(t *testing.T) {
	const many = 100
	s := startDriver(t)
	var names, ids []string
	var deleted []<-chan error
	for i := range many {
		names = append(names, fmt.Sprintf("pvc-%d", i))
		ids = append(ids, s.published(t, names[i]))
	}
	for _, id := range ids {
		deleted = append(deleted, s.deleteAside(id))
	}
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	wantCode(t, s.delete(s.create(t, "pvc-other")), codes.OK)
	if took := time.Since(began); took > unhurried {
		t.Errorf("while deletes wait, another volume took %s to create and delete", took)
	}

	wantCode(t, s.unpublish(ids[many-1], s.targetOf(names[many-1])), codes.OK)
	wantSoon(t, deleted[many-1], codes.OK)
	var unpublishes sync.WaitGroup
	for i := range many - 1 {
		unpublishes.Go(func() { wantCode(t, s.unpublish(ids[i], s.targetOf(names[i])), codes.OK) })
	}
	unpublishes.Wait()
	for i := range many - 1 {
		wantSoon(t, deleted[i], codes.OK)
	}
	for _, name := range names {
		s.wantGone(t, name)
	}
}

// TestStopWhileDeleteWaits does not keep a plugin that stops.
func TestStopWhileDeleteWaits(t *testing.T) {
	var deleted <-chan error
	var began time.Time
	t.Run("serve", func(t *testing.T) {
		s := startDriver(t)
		deleted = s.deleteAside(s.published(t, "pvc-1"))
		select {
		case err := <-deleted:
			t.Fatalf("the delete does not wait: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
		began = time.Now()
	})
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the plugin took %s to stop", took)
	}
	<-deleted
}

// TestPatience looks at the clock: how often a delete looks again, and when it
// has waited enough.
func TestPatience(t *testing.T) {
	for _, test := range []struct {
		name   string
		class  error
		caller time.Duration // how long the caller waits
		want   time.Duration
	}{
		{"a caller with time", errdefs.ErrInUse, time.Minute, deletePatience},
		{"a caller without end", errdefs.ErrInUse, 0, deletePatience},
		{"a caller with little time", errdefs.ErrInUse, 10 * time.Second, 10*time.Second - deleteReserve},
		{"a caller in a hurry", errdefs.ErrInUse, deleteReserve, 0},
		{"another call at work", errdefs.ErrBusy, time.Minute, deletePatience},
		{"a disk that is away", errdefs.ErrUnavailable, time.Minute, 0},
		{"nothing wrong", nil, time.Minute, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.caller > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.caller)
					defer cancel()
				}
				began, attempts := time.Now(), 0
				_, err := newDeletes(nil).intercept(ctx, &csi.DeleteVolumeRequest{VolumeId: "a"}, nil, func(context.Context, any) (any, error) {
					attempts++
					return nil, test.class
				})
				if !errors.Is(err, test.class) {
					t.Errorf("error %v, want %v", err, test.class)
				}
				if took := time.Since(began); took != test.want {
					t.Errorf("it took %s, want %s", took, test.want)
				}
				if least, most := 1+int(test.want/longestPause), 5+int(test.want/longestPause); attempts < least || attempts > most {
					t.Errorf("%d attempts, want %d to %d", attempts, least, most)
				}
			})
		})
	}
}

// TestDeleteGivesUp leaves nothing behind of a caller who gives up.
func TestDeleteGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeletes(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		time.AfterFunc(250*time.Millisecond, cancel)
		began := time.Now()
		_, err := d.intercept(ctx, &csi.DeleteVolumeRequest{VolumeId: "a"}, nil, func(context.Context, any) (any, error) { return nil, errdefs.ErrInUse })
		if took := time.Since(began); !errors.Is(err, errdefs.ErrInUse) || took != 250*time.Millisecond {
			t.Errorf("after %s: %v", took, err)
		}
		if len(d.waiting) > 0 {
			t.Errorf("still waiting: %v", d.waiting)
		}
	})
}

// published makes a volume with a file in it that a pod uses.
func (s *served) published(t *testing.T, name string) (volumeID string) {
	t.Helper()
	id := s.create(t, name)
	if err := s.publish(id, s.targetOf(name), capability(writer)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.targetOf(name), "file"), []byte(name), 0o644); err != nil {
		t.Fatal(err)
	}
	return id
}

func (s *served) targetOf(name string) string { return filepath.Join(s.kubelet, name) }

// deleteAside begins a delete and returns where its end is reported.
func (s *served) deleteAside(volumeID string) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- s.delete(volumeID) }()
	return ended
}

func (s *served) wantGone(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Lstat(filepath.Join(s.volumes, name)); !os.IsNotExist(err) {
		t.Errorf("volume %s is still there: %v", name, err)
	}
}

func wantSoon(t *testing.T, ended <-chan error, want codes.Code) {
	t.Helper()
	select {
	case err := <-ended:
		wantCode(t, err, want)
	case <-time.After(soon):
		t.Errorf("no answer in %s", soon)
	}
}
