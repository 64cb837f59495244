package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/hostdir/hostdir/pkg/dir"
	pkgdisk "github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// scratchPool is a pool whose disks are formatted anew at each boot.
func scratchPool(paths ...string) string {
	return fmt.Sprintf("pools: [{name: default, paths: [%s], requireMountPoint: true, initEmpty: true}]", quoted(paths))
}

// logging is a context that logs into the buffer.
func logging(t *testing.T, log *bytes.Buffer) context.Context {
	return klog.NewContext(t.Context(), textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(log))))
}

// mountFormatted formats a filesystem and mounts it.
func mountFormatted(t *testing.T, filesystem, base string) {
	t.Helper()
	if filesystem == "tmpfs" {
		if err := unix.Mount("tmpfs", base, "tmpfs", 0, "size=64m"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unmountAll(base) })
		return
	}
	size := map[string]int64{"ext4": 16, "btrfs": 128, "xfs": 300}[filesystem]
	disk.MountImage(t, disk.Image(t, filesystem, size*mebibyte), base)
}

// wantGivenUp checks what is answered for a volume of a disk that is gone for good.
func wantGivenUp(t *testing.T, s *Store, volumeID string) {
	t.Helper()
	_, err := s.Volume(t.Context(), volumeID)
	wantClass(t, err, errdefs.ErrWrongNode)
	wantClass(t, s.WithData(t.Context(), volumeID, anyUse), errdefs.ErrWrongNode)
	wantClass(t, s.Delete(t.Context(), volumeID, anyUse), errdefs.ErrWrongNode)
}

// TestInitEmptyAtEachBoot boots a node ten times whose disk is formatted anew each
// time. Nobody has to say anything, and nothing in the log sounds like a fault.
func TestInitEmptyAtEachBoot(t *testing.T) {
	plugin.RequireRoot(t)
	base, etc := t.TempDir(), t.TempDir()
	file, history := filepath.Join(etc, "config.yaml"), filepath.Join(etc, "disks.json")
	writeFile(t, file, scratchPool(base))
	var former []string // volumes
	formerDisk, had := "", 0
	for boot := range 10 {
		filesystem := []string{"ext4", "tmpfs", "tmpfs", "btrfs", "ext4", "ext4", "xfs"}[boot%7]
		var log bytes.Buffer
		ctx := logging(t, &log)
		late := boot%3 == 2
		if !late {
			mountFormatted(t, filesystem, base)
		}
		s, err := Open(ctx, testNode, file, history)
		if err != nil {
			t.Fatal(err)
		}
		s.Look(ctx)
		if late { // the unit that mounts it takes its time
			wantUnusable(t, s, former[len(former)-1])
			wantNames(t, base)
			log.Reset()
			mountFormatted(t, filesystem, base)
			s.Look(ctx)
		}
		if err := brokenBecause(t, s); err != nil {
			t.Fatalf("boot %d, %s: %v", boot, filesystem, err)
		}
		for _, id := range former {
			wantGivenUp(t, s, id)
		}
		if boot > 0 {
			wantLine(t, log.String(), "a new disk was made of the empty filesystem", `was="disk `+formerDisk+" on ", fmt.Sprintf("volumesGivenUp=%d", had))
		}
		if strings.Contains("\n"+log.String(), "\nE") {
			t.Errorf("boot %d is logged as a fault:\n%s", boot, &log)
		}

		had = 1 + boot%3
		var mine []string
		for i := range had {
			mine = append(mine, mustCreate(t, s, request(fmt.Sprintf("pvc-%d", i))).ID)
		}
		s.remember(ctx) // as at its end
		s = reopen(t, s)
		for _, id := range mine {
			wantVolume(t, s, id, base)
		}
		former, formerDisk = append(former, mine...), only(t, s).id.UUID
		mustUnmount(t, base)
	}
	if paths := readPaths(t, history); len(paths) != 1 {
		t.Errorf("remembered are %q, want one path", paths)
	}
}

func readPaths(t *testing.T, history string) []string {
	t.Helper()
	h := pkgdisk.NewHistory(history)
	h.Load()
	if h.Unreadable != nil {
		t.Fatal(h.Unreadable)
	}
	return h.Paths()
}

// wantLine checks that one line of a log says all of this.
func wantLine(t *testing.T, log string, says ...string) {
	t.Helper()
lines:
	for line := range strings.Lines(log) {
		for _, say := range says {
			if !strings.Contains(line, say) {
				continue lines
			}
		}
		return
	}
	t.Errorf("no line says %q:\n%s", says, log)
}

// TestInitEmptyRefuses has what is not an empty filesystem in place of the disk.
func TestInitEmptyRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		reason pkgdisk.Reason
		says   string
		lay    func(t *testing.T, base string)
	}{
		{"nothing", Absent, "no disk is mounted there", func(*testing.T, string) {}},
		{"a bind mount of an empty directory", Absent, "only the directory", func(t *testing.T, base string) {
			bindMount(t, t.TempDir(), base)
		}},
		{"a README", Faulty, `it holds "README"`, func(t *testing.T, base string) {
			mountFormatted(t, "ext4", base)
			writeFile(t, filepath.Join(base, "README"), "")
		}},
		{"another system's files", Faulty, `it holds "etc"`, func(t *testing.T, base string) {
			mountFormatted(t, "tmpfs", base)
			mkdirAll(t, filepath.Join(base, "etc"))
		}},
		{"volumes without a marker", Faulty, `its directory volumes holds "pvc-1"`, func(t *testing.T, base string) {
			mountFormatted(t, "tmpfs", base)
			mkdirAll(t, filepath.Join(base, volumesDir, "pvc-1"))
		}},
		{"a damaged marker", Faulty, "cannot be read", func(t *testing.T, base string) {
			mountFormatted(t, "tmpfs", base)
			writeFile(t, filepath.Join(base, markerFile), "")
		}},
		{"a disk of another node", Exchanged, "which this node has never used", func(t *testing.T, base string) {
			mountFormatted(t, "ext4", base)
			openStore(t, onePool(base))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, again func(*Store) *Store) {
				base := t.TempDir()
				mountFormatted(t, "ext4", base)
				s := openStore(t, scratchPool(base))
				v := mustCreate(t, s, request("pvc-1"))
				mustUnmount(t, base)
				test.lay(t, base)
				before := filesOf(t, base)
				s = again(s)
				wantUnusable(t, s, v.ID)
				wantRefused(t, s, base, test.reason, test.says)
				if after := filesOf(t, base); after != before {
					t.Errorf("there was %q, and now there is %q", before, after)
				}
			})
		})
	}
}

// TestInitEmptyIsTakenBack leaves out initEmpty in the configuration again.
func TestInitEmptyIsTakenBack(t *testing.T) {
	bothWays(t, func(t *testing.T, again func(*Store) *Store) {
		base := t.TempDir()
		mountFormatted(t, "ext4", base)
		s := openStore(t, scratchPool(base))
		v := mustCreate(t, s, request("pvc-1"))
		writeFile(t, s.configFile, guardedPool(base))
		s.reload(t.Context())
		mustUnmount(t, base)
		mountFormatted(t, "ext4", base)
		s = again(s)
		wantUnusable(t, s, v.ID)
		wantRefused(t, s, base, Absent, "hostdir disks init "+base)
		wantNames(t, base, "lost+found")

		writeFile(t, s.configFile, scratchPool(base))
		s.reload(t.Context())
		s = again(s)
		wantGivenUp(t, s, v.ID)
		mustCreate(t, s, request("pvc-1"))
	})
}

// TestInitEmptyFormerDisk brings the former disk back, here and elsewhere.
func TestInitEmptyFormerDisk(t *testing.T) {
	bothWays(t, func(t *testing.T, again func(*Store) *Store) {
		base, second := t.TempDir(), t.TempDir()
		former, next := smallImage(t), smallImage(t)
		disk.MountImage(t, former, base)
		s := openStore(t, scratchPool(base, second))
		old := mustCreate(t, s, request("pvc-1"))
		mustUnmount(t, base)
		disk.MountImage(t, next, base)
		s = again(s)
		mine := mustCreate(t, s, request("pvc-2"))

		disk.MountImage(t, former, second)
		s = again(s)
		wantVolume(t, s, old.ID, second)
		wantVolume(t, s, mine.ID, base)

		mustUnmount(t, base)
		mustUnmount(t, second)
		disk.MountImage(t, former, base)
		s = again(s)
		disk.MountImage(t, next, second)
		s = again(s)
		wantVolume(t, s, old.ID, base)
		wantVolume(t, s, mine.ID, second)

		// It moves once more, and an empty one is where it was.
		var log bytes.Buffer
		ctx := logging(t, &log)
		mustUnmount(t, base)
		mustUnmount(t, second)
		disk.MountImage(t, former, second)
		s.Look(ctx)
		mountFormatted(t, "tmpfs", base)
		s.Look(ctx)
		wantVolume(t, s, old.ID, second)
		wantLine(t, log.String(), "a new disk was made", `foundAt="`+second+`"`, "volumesGivenUp=0")
	})
}

// TestInitEmptyReadOnly cannot make a disk of an empty one. What was there before is
// not forgotten for that.
func TestInitEmptyReadOnly(t *testing.T) {
	bothWays(t, func(t *testing.T, again func(*Store) *Store) {
		base, former := t.TempDir(), smallImage(t)
		disk.MountImage(t, former, base)
		s := openStore(t, scratchPool(base))
		v := mustCreate(t, s, request("pvc-1"))
		mustUnmount(t, base)
		mountFormatted(t, "ext4", base)
		remount(t, base, unix.MS_RDONLY, "")
		for range 2 {
			s = again(s)
			wantUnusable(t, s, v.ID)
			wantRefused(t, s, base, Faulty, "read-only")
		}
		mustUnmount(t, base)
		disk.MountImage(t, former, base)
		s = again(s)
		wantVolume(t, s, v.ID, base)

		mustUnmount(t, base)
		mountFormatted(t, "ext4", base)
		remount(t, base, unix.MS_RDONLY, "")
		s = again(s)
		remount(t, base, 0, "")
		s = again(s)
		wantGivenUp(t, s, v.ID)
		mustCreate(t, s, request("pvc-1"))
	})
}

// TestInitEmptyCutOff ends the program at each step of making the new disk.
func TestInitEmptyCutOff(t *testing.T) {
	plugin.RequireRoot(t)
	next := "33333333-3333-4333-8333-333333333333"
	for _, test := range []struct {
		name  string
		marks bool // the marker is there already
		lay   func(t *testing.T, base string)
	}{
		{"before the first", false, func(*testing.T, string) {}},
		{"with directories", false, func(t *testing.T, base string) {
			mkdirAll(t, filepath.Join(base, volumesDir))
		}},
		{"with half a marker", false, func(t *testing.T, base string) {
			mkdirAll(t, filepath.Join(base, volumesDir))
			mkdirAll(t, filepath.Join(base, trashDir))
			writeFile(t, filepath.Join(base, markerNewFile), "{")
		}},
		{"with the marker", true, func(t *testing.T, base string) {
			d, err := dir.Open(base)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if _, err := pkgdisk.Initialise(d, next, time.Now()); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			base := t.TempDir()
			mountFormatted(t, "ext4", base)
			s := openStore(t, scratchPool(base))
			v := mustCreate(t, s, request("pvc-1"))
			mustUnmount(t, base)
			mountFormatted(t, "ext4", base)
			s.intend(t.Context(), next)
			test.lay(t, base)
			s = reopen(t, s)
			wantGivenUp(t, s, v.ID)
			mustCreate(t, s, request("pvc-1"))
			if uuid := only(t, s).id.UUID; (uuid == next) != test.marks {
				t.Errorf("the disk is %s", uuid)
			}
			wantNames(t, base, claimsDir, markerFile, "lost+found", ownerFile, trashDir, volumesDir)
		})
	}
}

// TestInitEmptyTwoProcesses has two programs that know nothing of each other make a
// disk of the same empty filesystem.
func TestInitEmptyTwoProcesses(t *testing.T) {
	plugin.RequireRoot(t)
	base := t.TempDir()
	var stores [2]*Store
	for round := range 10 {
		mountFormatted(t, "tmpfs", base)
		if round == 0 { // each has had a disk of its own there
			for i := range stores {
				stores[i] = openStore(t, scratchPool(base))
				mustUnmount(t, base)
				mountFormatted(t, "tmpfs", base)
			}
		}
		var both sync.WaitGroup
		for _, s := range stores {
			both.Go(func() { s.Look(t.Context()) })
		}
		both.Wait()
		m := markerAt(t, base)
		used := 0
		for _, s := range stores {
			s.Look(t.Context())
			switch all := s.inUse(); {
			case len(all) == 0:
				wantRefused(t, s, base, Exchanged, m.UUID)
			case all[0].id.UUID != m.UUID:
				t.Errorf("disk %s is in use, the marker says %s", all[0].id.UUID, m.UUID)
			default:
				used++
			}
		}
		if used > 1 {
			t.Errorf("%d programs have made disk %s", used, m.UUID)
		}
		mustUnmount(t, base)
	}
}

func markerAt(t *testing.T, base string) pkgdisk.Marker {
	t.Helper()
	d, err := dir.Open(base)
	m, err2 := pkgdisk.Marker{}, error(nil)
	if err == nil {
		defer d.Close()
		m, err2 = new(pkgdisk.MarkerCache).Read(d)
	}
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return m
}
