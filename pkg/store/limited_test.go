package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/quota/quotatest"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// onLimited runs a test in a new directory of each filesystem here that limits
// volumes: those of the virtual machine of tests/vm, or btrfs on a disk of the
// test's own.
func onLimited(t *testing.T, test func(t *testing.T, base string)) {
	plugin.RequireRoot(t)
	inMachine := false
	for kind, variable := range map[quota.Kind]string{quota.XFS: "HOSTDIR_VM_XFS", quota.Ext4: "HOSTDIR_VM_EXT4", quota.Btrfs: "HOSTDIR_VM_BTRFS"} {
		mounted := os.Getenv(variable)
		if mounted == "" {
			continue
		}
		inMachine = true
		t.Run(string(kind), func(t *testing.T) {
			base, err := os.MkdirTemp(mounted, "pool-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(base) })
			test(t, base)
		})
	}
	if inMachine {
		return
	}
	t.Run("btrfs", func(t *testing.T) {
		base := filepath.Join(disk.MountLimited(t, 1<<30), "pool")
		mkdirAll(t, base)
		test(t, base)
	})
}

const limited = 16 * mebibyte

func limitedRequest(name string) CreateRequest {
	req := request(name)
	req.RequiredBytes = limited
	req.Class.Quota = config.QuotaRequired
	return req
}

// openFile opens a file of a volume for a writer that goes on for long.
func openFile(t *testing.T, v Volume, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(v.Path, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// fillUp writes until the volume is full, and checks that this is about at size.
func fillUp(t *testing.T, v Volume, f *os.File, size int64) {
	t.Helper()
	grown, full, err := quotatest.Fill(f, size)
	if err != nil || !full && grown < size {
		t.Fatalf("%s: grown by %d: %v", f.Name(), grown, err)
	}
	const slack = 2 * mebibyte // metadata, and what btrfs holds back
	if grown < size-slack {
		t.Errorf("%s is full after %d bytes, want about %d", f.Name(), grown, size)
	}
	if grown, full, err = quotatest.Fill(f, 2*slack); err != nil || !full {
		t.Errorf("%s takes %d bytes beyond the limit (full %t): %v", f.Name(), grown, full, err)
	}
}

func TestLimitedWriterStopsAndGoesOn(t *testing.T) {
	onLimited(t, func(t *testing.T, base string) {
		s := openStore(t, onePool(base))
		v, neighbour := mustCreate(t, s, limitedRequest("pvc-1")), mustCreate(t, s, limitedRequest("pvc-2"))
		f := openFile(t, v, "file")
		fillUp(t, v, f, limited)
		if grown, full, err := quotatest.Fill(openFile(t, neighbour, "file"), limited/2); full || err != nil {
			t.Errorf("the neighbour is full after %d bytes: %v", grown, err)
		}
		u, err := s.Stats(t.Context(), v.ID, func(*os.File) error { return nil })
		if err != nil || u.Bytes.Total != limited || u.Bytes.Used < limited-2*mebibyte || u.Bytes.Used > limited+mebibyte {
			t.Errorf("usage %+v, %v", u, err)
		}

		capacity, err := s.Expand(t.Context(), v.ID, 2*limited, 0)
		if err != nil || capacity != 2*limited {
			t.Fatalf("expanded to %d: %v", capacity, err)
		}
		fillUp(t, v, f, limited)
		if again := mustCreate(t, reopen(t, s), func() CreateRequest {
			req := limitedRequest("pvc-1")
			req.RequiredBytes = 2 * limited
			return req
		}()); again.CapacityBytes != 2*limited {
			t.Errorf("after a restart the volume has %d bytes", again.CapacityBytes)
		}
	})
}

func TestLimitedExpansionFinishes(t *testing.T) {
	onLimited(t, func(t *testing.T, base string) {
		s := openStore(t, onePool(base))
		v := mustCreate(t, s, limitedRequest("pvc-1"))
		leaveRecordGrown(t, v, 2*limited)
		if got, err := s.Expand(t.Context(), v.ID, 2*limited, 0); err != nil || got != 2*limited {
			t.Fatalf("expanded to %d: %v", got, err)
		}
		fillUp(t, v, openFile(t, v, "file"), 2*limited)
	})
}

func TestLimitedIsPutBack(t *testing.T) {
	onLimited(t, func(t *testing.T, base string) {
		s := openStore(t, onePool(base))
		v := mustCreate(t, s, limitedRequest("pvc-1"))
		limits, _ := only(t, s).limiter()
		data, err := os.Open(v.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer data.Close()
		if err := limits.Set(data, v.Quota.ID, quota.Limit{}); err != nil {
			t.Fatal(err)
		}
		problems, err := s.Health(t.Context(), v.ID)
		if err != nil || len(problems) != 1 || problems[0].Severity != Degraded {
			t.Errorf("problems of a volume without its limit: %+v, %v", problems, err)
		}
		s = reopen(t, s)
		s.countAll(t.Context())
		limit, _, err := limits.Get(data, v.Quota.ID)
		if err != nil || limit.Bytes < limited || limit.Bytes > limited+64<<10 {
			t.Errorf("limit %+v, %v, want %d bytes", limit, err, limited)
		}
		if problems, err := s.Health(t.Context(), v.ID); err != nil || len(problems) > 0 {
			t.Errorf("problems: %+v, %v", problems, err)
		}
	})
}

func TestLimitedIDs(t *testing.T) {
	const volumes = 200
	onLimited(t, func(t *testing.T, base string) {
		s := openStore(t, onePool(base))
		ids := make([]quota.ID, volumes)
		var wg sync.WaitGroup
		for i := range volumes {
			wg.Go(func() {
				req := limitedRequest(fmt.Sprintf("pvc-%d", i))
				req.RequiredBytes = mebibyte
				v, err := s.Create(t.Context(), req)
				if err != nil {
					t.Error(err)
					return
				}
				ids[i] = v.Quota.ID
			})
		}
		wg.Wait()
		if slices.Sort(ids); len(slices.Compact(slices.Clone(ids))) != volumes {
			t.Errorf("%d volumes share IDs: %v", volumes, ids)
		}
		limits, _ := only(t, s).limiter()
		for i := range volumes {
			v := only(t, s).volume(fmt.Sprintf("pvc-%d", i))
			if v == nil {
				t.Fatal("a volume is missing")
			}
			mustDelete(t, s, v.ID)
		}
		awaitFree(t, s, base, limits, ids)
	})
}

// awaitFree purges until the filesystem knows none of the IDs any more.
func awaitFree(t *testing.T, s *Store, base string, limits quota.Quota, ids []quota.ID) {
	t.Helper()
	fs, err := os.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	defer fs.Close()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		s.purgeAll(t.Context())
		// btrfs forgets a subvolume after a commit or two.
		if err := unix.Syncfs(int(fs.Fd())); err != nil {
			t.Fatal(err)
		}
		taken := slices.DeleteFunc(slices.Clone(ids), func(id quota.ID) bool {
			used, err := limits.Used(fs, id)
			return err == nil && !used
		})
		if len(taken) == 0 {
			s.purgeAll(t.Context()) // of what was cleared away since
			wantNames(t, filepath.Join(base, trashDir))
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d IDs of deleted volumes stay: %v", len(taken), taken)
		}
	}
}

func TestQuotaRequiredWhereThereIsNone(t *testing.T) {
	s, base := newStore(t)
	req := request("pvc-1")
	req.Class.Quota = config.QuotaRequired
	if limits, _ := only(t, s).limiter(); limits != nil {
		t.Skipf("the temporary directory is on a filesystem that limits (%s)", limits.Kind())
	}
	_, err := s.Create(t.Context(), req)
	wantClass(t, err, errdefs.ErrNoSpace)
	wantNames(t, filepath.Join(base, volumesDir))
	if c := s.Capacity(req.Class); c != (Capacity{}) {
		t.Errorf("capacity %+v for a class that nothing here can satisfy", c)
	}
	req.Class.Quota = config.QuotaAuto
	if v := mustCreate(t, s, req); v.Quota != nil {
		t.Errorf("the volume claims to be limited: %+v", v.Quota)
	}
}

// TestLimitedIDsOfOthers gives a directory that is not hostdir's the first ID of
// the range: volumes get others.
func TestLimitedIDsOfOthers(t *testing.T) {
	onLimited(t, func(t *testing.T, base string) {
		outer, err := os.Open(base)
		if err != nil {
			t.Fatal(err)
		}
		defer outer.Close()
		limits, err := quota.Detect(outer)
		if err != nil {
			t.Fatal(err)
		}
		if limits.Kind() == quota.Btrfs {
			t.Skip("btrfs gives the IDs itself, and none twice")
		}
		const first, last = 5000, 5002
		if _, err := limits.Create(outer, "others", first); err != nil {
			t.Fatal(err)
		}
		others, err := os.Open(filepath.Join(base, "others"))
		if err != nil {
			t.Fatal(err)
		}
		defer others.Close()
		if err := limits.Set(others, first, quota.Limit{Bytes: mebibyte}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { limits.Remove(outer, first) })

		pool := filepath.Join(base, "pool")
		mkdirAll(t, pool)
		s := openStore(t, onePool(pool)+fmt.Sprintf("\nprojectIDs: {first: %d, last: %d}", first, last))
		for i, want := range []quota.ID{first + 1, first + 2} {
			if v := mustCreate(t, s, limitedRequest(fmt.Sprintf("pvc-%d", i))); v.Quota.ID != want {
				t.Errorf("the volume has ID %d, want %d", v.Quota.ID, want)
			}
		}
		_, err = s.Create(t.Context(), limitedRequest("pvc-3"))
		wantClass(t, err, errdefs.ErrNoSpace)
		wantNames(t, filepath.Join(pool, volumesDir), "pvc-0", "pvc-1")
	})
}
