package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// wantCordoned checks what status and capacity say of the store's only disk.
func wantCordoned(t *testing.T, s *Store, says string) {
	t.Helper()
	status := s.Status()[0]
	if says == "" {
		if status.Cordoned != nil || s.Capacity(defaultClass).AvailableBytes == 0 {
			t.Errorf("the disk is cordoned (%v), or publishes no capacity", status.Cordoned)
		}
		return
	}
	if status.Err != nil || status.Cordoned == nil || !strings.Contains(status.Cordoned.Error(), says) {
		t.Errorf("the disk is %v and cordoned because %v; want that it says %q", status.Err, status.Cordoned, says)
	}
	if c := s.Capacity(defaultClass); c != (Capacity{}) {
		t.Errorf("its capacity is published: %+v", c)
	}
}

func mustCordon(t *testing.T, s *Store, path string, on bool) {
	t.Helper()
	if why, err := s.Cordon(t.Context(), path, on); err != nil || (why != nil) != on {
		t.Fatalf("cordoned (%t): %v, %v", on, why, err)
	}
}

// TestCordon cordons a disk by command: it takes no new volumes, and all else goes
// on, also after a restart and on another node.
func TestCordon(t *testing.T) {
	for _, filesystem := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(filesystem, func(t *testing.T) {
			plugin.RequireRoot(t)
			base := disk.Mount(t, filesystem, 512*mebibyte)
			s := openStore(t, fmt.Sprintf("pools: [{name: default, paths: [%q], trashTTL: 1h}]", base))
			v, deleted := mustCreate(t, s, request("pvc-1")), mustCreate(t, s, request("pvc-2"))
			mustDelete(t, s, deleted.ID)
			mustCordon(t, s, base, true)
			since := s.Status()[0].Cordoned.Error()

			check := func(s *Store) {
				t.Helper()
				wantCordoned(t, s, "hostdir disks uncordon "+base)
				_, err := s.Create(t.Context(), request("pvc-3"))
				wantClass(t, err, errdefs.ErrNoSpace)
				if err == nil || !strings.Contains(err.Error(), base+" has room, but it is cordoned since ") {
					t.Errorf("the error does not tell: %v", err)
				}
				if again := mustCreate(t, s, request("pvc-1")); again.ID != v.ID {
					t.Errorf("the volume that is there is %s now", again.ID)
				}
				wantVolume(t, s, v.ID, base)
			}
			check(s)
			wantNames(t, base+"/volumes", "pvc-1")
			if got, err := s.Expand(t.Context(), v.ID, 3*mebibyte, 0); err != nil || got != 3*mebibyte {
				t.Errorf("it grew to %d: %v", got, err)
			}
			v.CapacityBytes = 3 * mebibyte
			if _, _, err := s.Undelete(t.Context(), deleted.ID); err != nil {
				t.Error(err)
			}
			mustDelete(t, s, deleted.ID)
			mustCordon(t, s, base, true)
			if again := s.Status()[0].Cordoned.Error(); again != since {
				t.Errorf("said twice it is %q, it was %q", again, since)
			}
			s.refresh(t.Context())
			check(s)
			s = reopen(t, s)
			check(s)
			for _, f := range mustCheck(t, s, nothingMounted).Findings {
				t.Errorf("check finds %+v", f)
			}

			mustCordon(t, s, base, false)
			wantCordoned(t, s, "")
			mustCreate(t, s, request("pvc-3"))
			s = reopen(t, s)
			wantCordoned(t, s, "")
		})
	}
}

// TestCordonElsewhere lets new volumes go to the other disk.
func TestCordonElsewhere(t *testing.T) {
	small, large := mountTmpfs(t, "size=16m"), mountTmpfs(t, "size=64m")
	s := openStore(t, onePool(small, large))
	mustCordon(t, s, large, true)
	mustCreate(t, s, request("pvc-1"))
	wantNames(t, filepath.Join(small, volumesDir), "pvc-1")
	c := s.Capacity(defaultClass)
	wantAbout(t, "the pool", c.AvailableBytes, 15*mebibyte)
	req := request("pvc-2")
	req.RequiredBytes = 32 * mebibyte
	_, err := s.Create(t.Context(), req)
	wantClass(t, err, errdefs.ErrNoSpace)
	for _, want := range []string{small + " has room for", large + " has room, but it is cordoned since"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	// One that is too small anyway is not to be uncordoned for it.
	req.RequiredBytes = 640 * mebibyte
	if _, err = s.Create(t.Context(), req); strings.Contains(err.Error(), "cordoned") {
		t.Errorf("the error advises what would not help: %v", err)
	}
}

// TestCordonConfigured cordons by configuration, which the command cannot take back.
func TestCordonConfigured(t *testing.T) {
	plugin.RequireRoot(t)
	base := t.TempDir()
	configured := func(cordoned string) string {
		return fmt.Sprintf("pools: [{name: default, paths: [%q], cordoned: [%q]}]", base, cordoned)
	}
	s := openStore(t, configured(filepath.Dir(base)+"/*"))
	const says = "in `cordoned` of pool \"default\""
	wantCordoned(t, s, says)
	_, err := s.Create(t.Context(), request("pvc-1"))
	wantClass(t, err, errdefs.ErrNoSpace)
	mustCordon(t, s, base, true)
	if why, err := s.Cordon(t.Context(), base, false); err != nil || why == nil || !strings.Contains(why.Error(), says) {
		t.Errorf("uncordoned: %v, %v", why, err)
	}
	// A changed file is taken up while the program runs.
	writeFile(t, s.configFile, configured("/elsewhere"))
	s.reload(t.Context())
	wantCordoned(t, s, "")
	writeFile(t, s.configFile, configured(base))
	s.reload(t.Context())
	wantCordoned(t, s, says)
	// Of a disk that is away, too.
	if err := os.RemoveAll(base); err != nil {
		t.Fatal(err)
	}
	s.refresh(t.Context())
	if status := s.Status()[0]; status.Err == nil || status.Cordoned == nil {
		t.Errorf("the status is %+v", status)
	}
}

// TestCordonRefused changes nothing where the order cannot be carried out.
func TestCordonRefused(t *testing.T) {
	base, readOnly := t.TempDir(), mountTmpfs(t, "size=16m")
	s := openStore(t, onePool(base, readOnly, "/nowhere"))
	remount(t, readOnly, unix.MS_RDONLY, "")
	for _, test := range []struct{ path, says string }{
		{"/etc", `no pool of this node has the disk "/etc"`},
		{base + "/", "no pool of this node has the disk"},
		{"/nowhere", "`cordoned` in the configuration"},
		{readOnly, "read-only file system; `cordoned` in the configuration"},
	} {
		if why, err := s.Cordon(t.Context(), test.path, true); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, %v; want an error that says %q", test.path, why, err, test.says)
		}
	}
	for _, status := range s.Status() {
		if status.Cordoned != nil {
			t.Errorf("%s is cordoned: %v", status.Path, status.Cordoned)
		}
	}
}

// TestCordonByHand finds what somebody wrote into the marker while the disk is in
// use, or was elsewhere.
func TestCordonByHand(t *testing.T) {
	s, base := newStore(t)
	marker := filepath.Join(base, markerFile)
	data, err := os.ReadFile(marker)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, marker, strings.Replace(string(data), "{", `{"cordoned": "2026-11-23T15:49:47Z",`, 1))
	s.refresh(t.Context())
	wantCordoned(t, s, "since 2026-11-23T15:49:47Z")
	writeFile(t, marker, string(data))
	s.refresh(t.Context())
	wantCordoned(t, s, "")
}
