package store

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
	testdisk "github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestInodeLimit makes volumes on filesystems with many and with few inodes.
func TestInodeLimit(t *testing.T) {
	for _, test := range []struct {
		name      string
		nrInodes  int
		capacity  int64
		class     string
		low, high int64
	}{
		{"a share", 1_000_000, 32 * mebibyte, "", 490_000, 510_000},
		{"a small share of many", 1_000_000, mebibyte, "", usualInodes, usualInodes},
		{"a small share of few", 1000, mebibyte, "", 240, 250},
		{"all", 1000, 64 * mebibyte, "", 990, 1000},
		{"what the class says", 1_000_000, 32 * mebibyte, "20", 20, 20},
		{"more than there are", 1000, mebibyte, "5000000", 5_000_000, 5_000_000},
		{"none", 1_000_000, 32 * mebibyte, "none", 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := openStore(t, fmt.Sprintf("pools: [{name: default, paths: [%q], overcommit: 10}]", mountTmpfs(t, fmt.Sprintf("size=64m,nr_inodes=%d", test.nrInodes))))
			q := limitBy(only(t, s), &fakeQuota{})
			req := request("pvc-1")
			req.RequiredBytes, req.Class.Inodes = test.capacity, test.class
			v := mustCreate(t, s, req)
			if got := q.limit(t, v).Inodes; got < test.low || got > test.high || v.Quota.Inodes != got {
				t.Errorf("the limit is %d inodes, in the record %d; want %d to %d", got, v.Quota.Inodes, test.low, test.high)
			}
			stats, err := s.Stats(t.Context(), v.ID, anyUse)
			if total := stats.Inodes.Total; err != nil || test.class == "none" && total != int64(test.nrInodes) || test.class != "none" && total != v.Quota.Inodes {
				t.Errorf("stats %+v, %v", stats.Inodes, err)
			}
			if _, err := s.Expand(t.Context(), v.ID, 65*mebibyte, 0); err != nil {
				t.Fatal(err)
			}
			if got := q.limit(t, v).Inodes; test.class != "" && got != test.low || got < test.low {
				t.Errorf("grown, the limit is %d inodes; it was %d", got, test.low)
			}
		})
	}
}

// TestInodeLimitRequired asks for a number of files where it cannot be enforced.
func TestInodeLimitRequired(t *testing.T) {
	plugin.RequireRoot(t)
	s := openStore(t, onePool(testdisk.MountLimited(t, 256*mebibyte)))
	for _, test := range []struct {
		name   string
		quota  config.QuotaPolicy
		inodes string
		want   error
	}{
		{"required", config.QuotaRequired, "100000", errdefs.ErrNoSpace},
		{"any number", config.QuotaRequired, "none", nil},
		{"a share", config.QuotaRequired, "", nil},
		{"where it can be", config.QuotaAuto, "100000", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := request("pvc-1")
			req.Class.Quota, req.Class.Inodes = test.quota, test.inodes
			v, err := s.Create(t.Context(), req)
			wantClass(t, err, test.want)
			if got := s.Capacity(req.Class).AvailableBytes; (got > 0) != (test.want == nil) {
				t.Errorf("%d bytes are available to the class", got)
			}
			if test.want != nil {
				if !strings.Contains(err.Error(), "btrfs cannot limit the number of files") {
					t.Errorf("error %v does not say why", err)
				}
				return
			}
			mustDelete(t, s, v.ID)
		})
	}
}

// TestInodeLimitNeverFalls expands a volume on a filesystem that has fewer inodes by
// then: XFS reports what it could still make, and that falls as it fills.
func TestInodeLimitNeverFalls(t *testing.T) {
	base := mountTmpfs(t, "size=64m,nr_inodes=100000")
	s := openStore(t, onePool(base))
	q := limitBy(only(t, s), &fakeQuota{})
	req := request("pvc-1")
	req.RequiredBytes = 16 * mebibyte
	v := mustCreate(t, s, req)
	had := q.limit(t, v).Inodes
	if had < 20_000 || had > 30_000 || v.Quota.Inodes != had {
		t.Fatalf("limit %+v, record %+v; want a quarter of the inodes", q.limit(t, v), v.Quota)
	}
	remount(t, base, 0, "nr_inodes=20000")
	if _, err := s.Expand(t.Context(), v.ID, 32*mebibyte, 0); err != nil {
		t.Fatal(err)
	}
	if is := q.limit(t, v); is.Inodes != had || is.Bytes != 32*mebibyte {
		t.Errorf("limit %+v, want 32 MiB and %d inodes", is, had)
	}
	remount(t, base, 0, "nr_inodes=100000")
	if _, err := s.Expand(t.Context(), v.ID, 48*mebibyte, 0); err != nil {
		t.Fatal(err)
	}
	grown, err := s.Volume(t.Context(), v.ID)
	if err != nil || grown.Quota.Inodes < 2*had || q.limit(t, v).Inodes != grown.Quota.Inodes {
		t.Errorf("limit %+v, record %+v, %v; want three times the inodes", q.limit(t, v), grown.Quota, err)
	}
}

// TestLoweredLimitIsPutBack changes one half of a limit after the other.
func TestLoweredLimitIsPutBack(t *testing.T) {
	s := openStore(t, onePool(mountTmpfs(t, "size=64m,nr_inodes=100000")))
	q := limitBy(only(t, s), &fakeQuota{})
	v := mustCreate(t, s, request("pvc-1"))
	want := q.limit(t, v)
	for _, changed := range []quota.Limit{
		{Bytes: want.Bytes, Inodes: 5},
		{Bytes: want.Bytes, Inodes: want.Inodes + 1},
		{Bytes: want.Bytes},
		{Bytes: want.Bytes - 1, Inodes: want.Inodes},
		{Bytes: 2 * want.Bytes, Inodes: want.Inodes},
		{},
	} {
		if err := q.Set(nil, v.Quota.ID, changed); err != nil {
			t.Fatal(err)
		}
		problems, err := s.Health(t.Context(), v.ID)
		if err != nil || len(problems) != 1 || problems[0].Severity != Degraded {
			t.Errorf("problems of a volume whose limit is %+v: %+v, %v", changed, problems, err)
		}
		d := only(t, s)
		for _, v := range d.list() { // as count does, which would look for real quotas
			if err := s.countOne(d, v, &span{}); err != nil {
				if err := s.restoreLimit(d, v.Dir); err != nil {
					t.Fatal(err)
				}
			}
		}
		if is := q.limit(t, v); is != want {
			t.Errorf("limit %+v, it was %+v before it was made %+v", is, want, changed)
		}
	}
}

// TestLimitOfAnotherDisk leaves in one disk's trash what a crash leaves there that
// comes when the limit was given back and the record not removed. A volume on
// another disk of the filesystem has the ID by now.
func TestLimitOfAnotherDisk(t *testing.T) {
	mounted := mountTmpfs(t, "size=64m")
	first, second := filepath.Join(mounted, "first"), filepath.Join(mounted, "second")
	mkdirAll(t, first)
	mkdirAll(t, second)
	s := openStore(t, onePool(first, second))
	q := &fakeQuota{}
	for _, d := range s.inUse() {
		limitBy(d, q)
	}
	gone := mustCreate(t, s, request("pvc-gone"))
	remove(t, gone.Path, ".")
	mustDelete(t, s, gone.ID)
	q.limits = map[quota.ID]quota.Limit{}

	in := s.inUse()[0]
	if _, err := in.create(t.Context(), s, "pvc-0", Record{Version: recordVersion, Name: "pvc-0", CapacityBytes: mebibyte, Class: defaultClass}, &gate{}); err != nil {
		t.Fatal(err)
	}
	other := s.inUse()[1]
	s.projects.next = gone.Quota.ID
	v, err := other.create(t.Context(), s, "pvc-1", Record{Version: recordVersion, Name: "pvc-1", CapacityBytes: mebibyte, Class: defaultClass}, &gate{})
	if err != nil || v.Quota.ID != gone.Quota.ID {
		t.Fatalf("the other volume has the quota %+v (%v), want the ID %d again", v.Quota, err, gone.Quota.ID)
	}
	s.purgeAll(t.Context())
	wantNames(t, filepath.Join(first, disk.TrashDir))
	if len(q.removed) > 0 || q.limit(t, v).Bytes != mebibyte {
		t.Errorf("limits %v were removed, the volume's is %+v", q.removed, q.limit(t, v))
	}
	mustDelete(t, s, v.ID)
	s.purgeAll(t.Context())
	if len(q.removed) != 1 {
		t.Errorf("limits %v were removed, want that of the last volume that had it", q.removed)
	}
}
