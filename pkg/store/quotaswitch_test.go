package store

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// logged is a context whose log goes to a buffer.
func logged(t *testing.T) (context.Context, *bytes.Buffer) {
	var out bytes.Buffer
	return klog.NewContext(t.Context(), textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&out)))), &out
}

func btrfsQuota(t *testing.T, mounted string, args ...string) {
	t.Helper()
	for _, what := range args {
		if out, err := exec.Command("btrfs", append([]string{"quota"}, append(strings.Fields(what), mounted)...)...).CombinedOutput(); err != nil {
			t.Fatalf("btrfs quota %s: %v\n%s", what, err, out)
		}
	}
}

// TestQuotasSwitched switches the quotas of a disk that is in use on, off and on
// again. What they held is counted otherwise meanwhile, and all calls work.
func TestQuotasSwitched(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	mounted := disk.Mount(t, "btrfs", 512*mebibyte)
	base := filepath.Join(mounted, "disk")
	mkdirAll(t, base)
	s := openStore(t, onePool(base))
	d := only(t, s)
	ctx, log := logged(t)
	round := func(lines int) {
		t.Helper()
		disk.Sync(t, mounted)
		log.Reset()
		for range 3 {
			s.count(ctx, d)
			d.walk(ctx)
		}
		if n := strings.Count(log.String(), "\n"); n != lines {
			t.Errorf("%d lines in the log, want %d:\n%s", n, lines, log)
		}
	}
	// works checks all that goes by a quota, of a volume that holds some 4 MiB.
	works := func(v Volume, enforced bool) {
		t.Helper()
		for _, status := range s.VolumeStatus() {
			if status.ID == v.ID && status.Enforced != enforced {
				t.Errorf("%s is enforced: %t", v.Name, status.Enforced)
			}
		}
		stats, err := s.Stats(t.Context(), v.ID, anyUse)
		if err != nil || stats.Bytes.Used < 4*mebibyte || stats.Bytes.Used > 5*mebibyte {
			t.Errorf("stats of %s: %+v, %v", v.Name, stats, err)
		}
		before := capacityNow(t, s, v.ID)
		if got, err := s.Expand(t.Context(), v.ID, before+mebibyte, 0); err != nil || got != before+mebibyte {
			t.Errorf("%s expanded to %d: %v", v.Name, got, err)
		}
	}
	made := func(name string, enforced bool) Volume {
		t.Helper()
		req := limitedRequest(name)
		req.Class = defaultClass
		v := mustCreate(t, s, req)
		if (v.Quota != nil) != enforced {
			t.Errorf("%s has the quota %+v", name, v.Quota)
		}
		check(t, allocate(filepath.Join(v.Path, "file"), 4*mebibyte))
		return v
	}
	status := func(want quota.Kind) {
		t.Helper()
		if s := s.Status()[0]; s.Quota != want || (s.WhyAdvisory == nil) != (want != quota.None) {
			t.Errorf("the disk's quota is %s (%v), want %s", s.Quota, s.WhyAdvisory, want)
		}
	}

	status(quota.None)
	before := made("pvc-before", false)
	round(0)
	works(before, false)

	btrfsQuota(t, mounted, "enable", "rescan -w")
	round(1)
	status(quota.Btrfs)
	limited := made("pvc-limited", true)
	round(0)
	works(before, false)
	works(limited, true)
	room := s.Capacity(defaultClass).AvailableBytes

	btrfsQuota(t, mounted, "disable")
	unnoticed := made("pvc-unnoticed", false) // before anybody has looked
	status(quota.None)
	round(0)
	works(before, false)
	works(limited, false)
	works(unnoticed, false)
	if problems, err := s.Health(t.Context(), limited.ID); err != nil || len(problems) != 1 || problems[0].Reason != "CapacityNotEnforced" {
		t.Errorf("problems of a volume whose quota is off: %+v, %v", problems, err)
	}
	if now := s.Capacity(defaultClass).AvailableBytes; now < room-24*mebibyte {
		t.Errorf("%d MiB are available, it was %d with one volume of 16 less", now>>20, room>>20)
	}
	_, err := s.Create(t.Context(), limitedRequest("pvc-required"))
	if err == nil || !strings.Contains(err.Error(), "quota is required") {
		t.Errorf("a class that requires quotas: %v", err)
	}
	mustDelete(t, s, unnoticed.ID)

	btrfsQuota(t, mounted, "enable", "rescan -w")
	round(2) // that they are on, and that a limit is in force again
	status(quota.Btrfs)
	works(limited, true)
	data, err := os.Open(limited.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	limits, _ := d.limiter()
	if limit, _, err := limits.Get(data, limited.Quota.ID); err != nil || limit.Bytes < capacityNow(t, s, limited.ID) {
		t.Errorf("the limit is %+v, %v", limit, err)
	}
}
