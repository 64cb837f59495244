package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/tests/disk"
)

// onlyStatus is that of the store's only disk.
func onlyStatus(t *testing.T, s *Store) Status {
	t.Helper()
	all := s.Status()
	if len(all) != 1 {
		t.Fatalf("%d disks, want 1", len(all))
	}
	return all[0]
}

func TestStatus(t *testing.T) {
	base := disk.Mount(t, "ext4", 64*mebibyte)
	s := openStore(t, onePool(base))
	empty := onlyStatus(t, s)
	if empty.Err != nil || empty.Space.SizeBytes < 32*mebibyte || empty.Space.AvailableBytes == 0 || empty.AllocatedBytes != 0 {
		t.Errorf("an empty disk: %+v", empty)
	}
	v := mustCreate(t, s, request("pvc-1"))
	one := onlyStatus(t, s)
	if one.Volumes != 1 || one.AllocatedBytes != v.CapacityBytes {
		t.Errorf("with a volume of %d bytes: %+v", v.CapacityBytes, one)
	}
	if less := empty.Space.AvailableBytes - one.Space.AvailableBytes; less < v.CapacityBytes || less > v.CapacityBytes+mebibyte {
		t.Errorf("a volume of %d bytes leaves %d less to promise", v.CapacityBytes, less)
	}
	mustDelete(t, s, v.ID)
	if gone := onlyStatus(t, s); gone.Space.Trash != 1 || gone.Volumes != 0 || gone.AllocatedBytes != 0 {
		t.Errorf("with a deleted volume: %+v", gone)
	}

	if err := unix.Mount("", base, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	s.sampleAll()
	readOnly := onlyStatus(t, s)
	if readOnly.Err != nil || readOnly.Space.AvailableBytes != 0 || readOnly.Space.Refuses == nil || !strings.Contains(readOnly.Space.Refuses.Error(), "read-only") {
		t.Errorf("read-only: %+v", readOnly)
	}

	if err := unix.Unmount(base, 0); err != nil {
		t.Fatal(err)
	}
	s.refresh(t.Context())
	if absent := onlyStatus(t, s); absent.Err == nil || absent.Space != (Space{}) {
		t.Errorf("without its disk: %+v", absent)
	}
}

func TestVolumeStatus(t *testing.T) {
	s, base := newStore(t)
	for _, claim := range []string{"b", "a"} {
		r := request("pvc-" + claim)
		r.Claim = Claim{Namespace: "shop", Name: claim}
		mustCreate(t, s, r)
	}
	broken := filepath.Join(base, volumesDir, "pvc-a", recordFile)
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.configFile, strings.Replace(onePool(base), "default", "renamed", 1))
	s.reload(t.Context())
	s.refresh(t.Context())
	all := s.VolumeStatus()
	if len(all) != 2 || all[0].Claim.Name != "a" || all[1].Claim.Name != "b" || all[0].Pool != "renamed" {
		t.Errorf("volumes %+v, want a and b in the pool as it is called now", all)
	}
	// A start finds the damage. What it is about, only the ID says.
	all = reopen(t, s).VolumeStatus()
	if len(all) != 2 || all[0].Quarantine == nil || all[0].Pool != "renamed" || all[1].Quarantine != nil {
		t.Errorf("volumes %+v, want the first in quarantine", all)
	}
}

// TestEnforcedNow looks at volumes before and after their filesystem loses its
// quotas.
func TestEnforcedNow(t *testing.T) {
	onLimited(t, func(t *testing.T, base string) {
		s := openStore(t, onePool(base))
		advisory := request("pvc-advisory")
		advisory.Class.Quota = config.QuotaOff
		mustCreate(t, s, advisory)
		mustCreate(t, s, limitedRequest("pvc-limited"))
		for _, v := range s.VolumeStatus() {
			if want := v.Name == "pvc-limited"; v.Enforced != want {
				t.Errorf("%s: enforced %t, want %t", v.Name, v.Enforced, want)
			}
		}
		only(t, s).limits = nil
		for _, v := range s.VolumeStatus() {
			if v.Enforced {
				t.Errorf("%s is enforced by a filesystem without quotas", v.Name)
			}
		}
	})
}

func TestConfigError(t *testing.T) {
	s, _ := newStore(t)
	if got := s.ConfigError(); got != "" {
		t.Errorf("a good configuration: %s", got)
	}
	writeFile(t, s.configFile, "polls: []")
	s.reload(t.Context())
	if got := s.ConfigError(); !strings.Contains(got, "polls") {
		t.Errorf("a bad configuration: %q", got)
	}
}
