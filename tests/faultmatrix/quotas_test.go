package faultmatrix

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestQuotasSwitched switches the quotas of a btrfs off and on while volumes on it
// are in use. Nobody's call fails for it.
func TestQuotasSwitched(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	mounted := disk.MountLimited(t, 512*mebibyte)
	s := start(t, filepath.Join(mounted, "pool"))
	id, target := s.create(t, "pvc-1"), s.target("target")
	plugin.WantCode(t, "publish", s.Publish(s.ctx, id, target), codes.OK)
	write(t, filepath.Join(target, "file"), strings.Repeat("x", mebibyte/2))
	disk.Sync(t, mounted)
	s.stop(t)
	s.run(t) // which counts it

	capacity := int64(mebibyte)
	// until lets calls come in until the plugin has noticed.
	until := func(want quota.Kind) {
		t.Helper()
		await(t, "it is noticed that quotas are "+string(want), time.Minute, func() bool {
			_, err := s.Stats(s.ctx, id, target)
			plugin.WantCode(t, "stats", err, codes.OK)
			capacity += 4096
			plugin.WantCode(t, "expand", s.Expand(s.ctx, id, target, capacity), codes.OK)
			made := s.create(t, "pvc-meanwhile")
			plugin.WantCode(t, "delete", s.Delete(s.ctx, made), codes.OK)
			if t.Failed() {
				t.FailNow()
			}
			time.Sleep(200 * time.Millisecond)
			return s.disks(t)[s.Base].Quota == admin.QuotaKind(want)
		})
	}
	until(quota.Btrfs)
	run(t, "btrfs", "quota", "disable", mounted)
	until(quota.None)
	advisory := s.create(t, "pvc-advisory")
	if s.enforced(t)[id] || s.enforced(t)[advisory] {
		t.Errorf("a limit is said to be in force: %v", s.enforced(t))
	}

	run(t, "btrfs", "quota", "enable", mounted)
	run(t, "btrfs", "quota", "rescan", "-w", mounted)
	until(quota.Btrfs)
	limited := s.create(t, "pvc-limited")
	await(t, "limits are in force again", time.Minute, func() bool {
		in := s.enforced(t)
		return in[id] && in[limited] && !in[advisory] && isLimited(t, s.VolumeDir(id)) && isLimited(t, s.VolumeDir(limited))
	})
	if isLimited(t, s.VolumeDir(advisory)) {
		t.Error("an advisory volume is limited")
	}
	plugin.WantCode(t, "unpublish", s.Unpublish(s.ctx, id, target), codes.OK)
	plugin.CheckClean(t, s.Plugin)
	s.stop(t)
	for _, once := range []string{"quotas were switched off", "quotas were switched on"} {
		if n := strings.Count(s.Log(), once); n != 1 {
			t.Errorf("the log says %d times that %s", n, once)
		}
	}
}

// enforced says which volumes `hostdir volumes` calls limited, by ID.
func (s *server) enforced(t *testing.T) map[string]bool {
	t.Helper()
	var answer admin.Volumes
	s.ask(t, &answer, "volumes")
	all := map[string]bool{}
	for _, v := range answer.Volumes {
		all[v.ID] = v.Enforced
	}
	return all
}

// isLimited reports whether a small volume takes no file of 8 MiB.
func isLimited(t *testing.T, volume string) bool {
	t.Helper()
	path := filepath.Join(volume, "data", "large")
	defer os.Remove(path)
	err := os.WriteFile(path, make([]byte, 8*mebibyte), 0o600)
	if err != nil && !errors.Is(err, unix.EDQUOT) {
		t.Fatal(err)
	}
	return err != nil
}
