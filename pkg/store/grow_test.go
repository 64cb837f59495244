package store

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/quota/quotatest"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// mountToGrow makes a filesystem and mounts it with quotas, or without where this
// kernel has none.
func mountToGrow(t *testing.T, kind quota.Kind, size int64) (image, mounted string) {
	t.Helper()
	image, mounted = disk.Image(t, string(kind), size), t.TempDir()
	options := "loop,prjquota"
	switch kind {
	case quota.Ext4:
		if out, err := exec.Command("tune2fs", "-O", "project,quota", "-Q", "prjquota", image).CombinedOutput(); err != nil {
			t.Fatalf("tune2fs: %v\n%s", err, out)
		}
	case quota.Btrfs:
		options = "loop"
	}
	if out, err := exec.Command("mount", "-o", options, image, mounted).CombinedOutput(); err != nil {
		t.Logf("this kernel has no quotas of %s, tests/vm runs this on one that has: %s", kind, out)
		image = disk.Image(t, string(kind), size)
		disk.MountImage(t, image, mounted)
		return image, mounted
	}
	t.Cleanup(func() { exec.Command("umount", mounted).Run() })
	if _, err := exec.LookPath("btrfs"); kind == quota.Btrfs && err == nil { // the virtual machine has none
		btrfsQuota(t, mounted, "enable", "rescan -w")
	}
	return image, mounted
}

// TestLimitedGrownFilesystem grows filesystems under a disk, with a pod at work: the
// room is there at once, limits are what they were, and volumes can grow into it.
func TestLimitedGrownFilesystem(t *testing.T) {
	plugin.RequireRoot(t)
	const small, large = 320 * mebibyte, 960 * mebibyte
	for _, kind := range []quota.Kind{quota.XFS, quota.Ext4, quota.Btrfs} {
		t.Run(string(kind), func(t *testing.T) {
			image, mounted := mountToGrow(t, kind, small)
			base := filepath.Join(mounted, "pool")
			mkdirAll(t, base)
			s := openStore(t, onePool(base))
			req := request("pvc-1")
			req.RequiredBytes = limited
			v := mustCreate(t, s, req)
			f := openFile(t, v, "file")
			before := s.Capacity(req.Class).AvailableBytes
			beyond := request("pvc-2")
			beyond.RequiredBytes = small
			_, err := s.Create(t.Context(), beyond)
			wantClass(t, err, errdefs.ErrNoSpace)

			end := writeOn(t, v)
			disk.Grow(t, image, mounted, large)
			end()

			s.sampleAll()
			grown := s.Capacity(req.Class).AvailableBytes - before
			if least, most := int64((large-small)*8/10), int64(large-small+mebibyte); grown < least || grown > most {
				t.Errorf("%d bytes more can be given to volumes, want %d to %d", grown, least, most)
			}
			ctx, log := logged(t)
			s.count(ctx, only(t, s))
			if log.Len() > 0 {
				t.Errorf("the log says %s", log)
			}
			wantLimit(t, s, v)
			s = reopen(t, s)
			wantLimit(t, s, v)
			if v.Quota != nil {
				fillUp(t, v, f, limited)
			}

			mustCreate(t, s, beyond)
			if _, err := s.Expand(t.Context(), v.ID, 2*limited, 0); err != nil {
				t.Fatal(err)
			}
			had := v.Quota
			if v, _ = s.Volume(t.Context(), v.ID); had != nil && v.Quota.Inodes < had.Inodes {
				t.Errorf("grown, it may hold %d files, and could hold %d", v.Quota.Inodes, had.Inodes)
			}
			wantLimit(t, s, v)
		})
	}
}

// writeOn writes to a volume and removes what it wrote, until end is called.
func writeOn(t *testing.T, v Volume) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	name := filepath.Join(v.Path, "at-work")
	writer.Go(func() {
		for once := true; once || ctx.Err() == nil; once = false {
			if err := os.WriteFile(name, make([]byte, mebibyte), 0o600); err != nil {
				t.Errorf("a pod at work: %v", err)
				return
			}
		}
	})
	end = sync.OnceFunc(func() {
		cancel()
		writer.Wait()
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return end
}

// wantLimit checks that a volume is held to what its record says, if it is to any.
func wantLimit(t *testing.T, s *Store, v Volume) {
	t.Helper()
	if v.Quota == nil {
		return
	}
	data, err := os.Open(v.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	limits, _ := only(t, s).limiter()
	if limits == nil {
		t.Fatal("nothing is limited any more")
	}
	limit, _, err := limits.Get(data, v.Quota.ID)
	if want := (quota.Limit{Bytes: v.CapacityBytes, Inodes: v.Quota.Inodes}); err != nil || limit != want {
		t.Errorf("the limit is %+v (%v), want %+v", limit, err, want)
	}
}

// TestLimitedFromTheStart undoes a limit while hostdir is not there, as a power cut
// does on btrfs: nobody gets at the volume before it is back.
func TestLimitedFromTheStart(t *testing.T) {
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
		wantLimit(t, reopen(t, s), v)
	})
}

// TestLimitedSmallest does in the smallest volume what kubelet and a program do
// first: it changes the owner, and makes a few files.
func TestLimitedSmallest(t *testing.T) {
	onLimited(t, func(t *testing.T, base string) {
		s := openStore(t, onePool(base))
		req := limitedRequest("pvc-1")
		req.RequiredBytes = slip
		v := mustCreate(t, s, req)
		if v.CapacityBytes != MinCapacity {
			t.Errorf("it has %d bytes, want %d", v.CapacityBytes, MinCapacity)
		}
		wantLimit(t, s, v)
		if err := os.Chown(v.Path, 1000, 2000); err != nil {
			t.Error(err)
		}
		mkdirAll(t, v.Path+"/a/b")
		for _, name := range []string{"first", "a/second", "a/b/third"} {
			writeFile(t, filepath.Join(v.Path, name), string(make([]byte, 64<<10)))
			if err := os.Chown(filepath.Join(v.Path, name), 1000, 2000); err != nil {
				t.Error(err)
			}
		}
		disk.Sync(t, v.Path)
		if grown, full, err := quotatest.Fill(openFile(t, v, "more"), 2*mebibyte); err != nil || !full {
			t.Errorf("it takes %d bytes more: %v", grown, err)
		}
	})
}
