package inputs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/disk"
)

// TestPublishWhileDeleting lets publications of a volume race with its
// deletion. Whoever comes first wins, and no volume is both: deleted and
// published. (That a call meets another one and gets Aborted is shown, with
// calls that are held, by the tests of pkg/driver.)
func TestPublishWhileDeleting(t *testing.T) {
	const rounds, publishers, deleters = 40, 6, 2
	s := start(t)
	before := snapshot(t, s.root)
	for round := range rounds {
		id := s.create(t, fmt.Sprintf("pvc-%d", round))
		published := make([]codes.Code, publishers)
		deleted := make([]codes.Code, deleters)
		begin := make(chan struct{})
		var wg sync.WaitGroup
		for i := range publishers {
			wg.Go(func() {
				<-begin
				published[i] = status.Code(s.publish(id, s.target(i)))
			})
		}
		for i := range deleters {
			wg.Go(func() {
				<-begin
				deleted[i] = status.Code(s.DeleteNow(s.ctx, id))
			})
		}
		close(begin)
		wg.Wait()

		wantOneOf(t, "publish", published, codes.OK, codes.NotFound, codes.Aborted)
		wantOneOf(t, "delete", deleted, codes.OK, codes.Aborted, codes.FailedPrecondition)
		isPublished, isDeleted := slices.Contains(published, codes.OK), slices.Contains(deleted, codes.OK)
		if isPublished && isDeleted {
			t.Errorf("the volume is published (%v) and deleted (%v)", published, deleted)
		}
		if slices.Contains(deleted, codes.FailedPrecondition) && !isPublished {
			t.Errorf("the volume is called in use (%v), but was not published (%v)", deleted, published)
		}
		if _, err := os.Lstat(s.VolumeDir(id)); errors.Is(err, os.ErrNotExist) != isDeleted {
			t.Errorf("deleted: %t, but: %v", isDeleted, err)
		}
		if got, want := len(disk.MountsBelow(t, s.KubeletDir)), count(published, codes.OK); got != want {
			t.Errorf("%d mounts for %d publications", got, want)
		}
		for i := range publishers {
			wantCode(t, s.unpublish(id, s.target(i)), codes.OK, "")
		}
		wantCode(t, s.delete(id), codes.OK, "")
		if t.Failed() {
			t.Fatalf("round %d: publish %v, delete %v", round, published, deleted)
		}
	}
	s.waitPurged(t)
	wantSame(t, s.root, before)
}

// TestRenamesWhileDeleting swaps directories of a volume for links, as a tenant
// with an open descriptor can, while it is purged.
func TestRenamesWhileDeleting(t *testing.T) {
	const rounds, directories = 10, 200
	s := start(t)
	before := snapshot(t, s.root)
	for round := range rounds {
		id := s.create(t, fmt.Sprintf("pvc-%d", round))
		data := filepath.Join(s.VolumeDir(id), "data")
		for i := range directories {
			mkdir(t, filepath.Join(data, fmt.Sprint(i), "data"))
		}
		symlink(t, s.outside, filepath.Join(data, "link"))
		tenant, err := os.Open(data)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			// Each exchange fails once the purge was faster.
			for i := range directories {
				unix.Renameat2(int(tenant.Fd()), "link", int(tenant.Fd()), fmt.Sprint(i), unix.RENAME_EXCHANGE)
			}
		})
		wantCode(t, s.delete(id), codes.OK, "")
		wg.Wait()
		tenant.Close()
	}
	// What an exchange made the purge stumble over, a later deletion retries.
	wantCode(t, s.delete(s.create(t, "pvc-last")), codes.OK, "")
	s.waitPurged(t)
	wantSame(t, s.root, before)
}

func (s *server) target(i int) string {
	return filepath.Join(s.KubeletDir, fmt.Sprintf("target-%d", i))
}

func wantOneOf(t *testing.T, call string, got []codes.Code, allowed ...codes.Code) {
	t.Helper()
	for _, code := range got {
		if !slices.Contains(allowed, code) {
			t.Errorf("%s: code %s, want one of %v", call, code, allowed)
		}
	}
}

func count(got []codes.Code, code codes.Code) int {
	n := 0
	for _, c := range got {
		if c == code {
			n++
		}
	}
	return n
}
