package disk

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

func bindMount(t *testing.T, from, to string) {
	t.Helper()
	plugin.RequireRoot(t)
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(to, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) })
}

func mustUnmount(t *testing.T, path string) {
	t.Helper()
	if err := unix.Unmount(path, 0); err != nil {
		t.Fatalf("umount %s: %v", path, err)
	}
}

func TestLookAtLayouts(t *testing.T) {
	for _, test := range layouts {
		t.Run(test.name, func(t *testing.T) {
			path := t.TempDir()
			test.lay(t, path)
			before := tree(t, path)
			p := Look(path, "", Probe{})
			reason := Reason("")
			if test.refused != "" {
				reason = Faulty
			}
			wantError(t, p.Err, reason, test.refused)
			if p.Path != path || p.Marker != nil || p.Filesystem.Type == "" {
				t.Errorf("probe %+v", p)
			}
			if after := tree(t, path); after != before {
				t.Errorf("a look has changed %q to %q", before, after)
			}
		})
	}
}

func TestLook(t *testing.T) {
	plugin.RequireRoot(t)
	plain, missing := t.TempDir(), filepath.Join(t.TempDir(), "missing")
	plainMarker := newDisk(t, plain, one)
	image := disk.Image(t, "ext4", 16*mebibyte)
	mounted, below := t.TempDir(), t.TempDir()
	disk.MountImage(t, image, mounted)
	mountedMarker := newDisk(t, mounted, two)
	shown := t.TempDir() // as a hostPath volume shows a disk in a container
	bindMount(t, mounted, shown)
	part := t.TempDir()
	bindMount(t, filepath.Join(mounted, VolumesDir), part)
	bindMount(t, t.TempDir(), below)

	for _, test := range []struct {
		name, path string
		require    bool
		want       Probe
		reason     Reason
		says       string
	}{
		{"a plain directory", plain, false, Probe{Marker: &plainMarker, Filesystem: plainMarker.Filesystem}, "", ""},
		{"a plain directory instead of a disk", plain, true, Probe{}, Absent, "no disk is mounted there"},
		{"a disk", mounted, true, Probe{Marker: &mountedMarker, Filesystem: mountedMarker.Filesystem, MountPoint: true}, "", ""},
		{"a disk, as it may be", mounted, false, Probe{Marker: &mountedMarker, Filesystem: mountedMarker.Filesystem, MountPoint: true}, "", ""},
		{"a disk in a container", shown, true, Probe{Marker: &mountedMarker, Filesystem: mountedMarker.Filesystem, MountPoint: true}, "", ""},
		{"a directory of a disk, mounted", part, true, Probe{}, Absent, "only the directory /volumes of another filesystem"},
		{"a directory of a disk, mounted, as it may be", part, false, Probe{Filesystem: mountedMarker.Filesystem}, "", ""},
		{"a directory of a disk", filepath.Join(mounted, VolumesDir), true, Probe{}, Absent, "no disk is mounted there"},
		{"a plain directory, mounted", below, true, Probe{}, Absent, "only the directory"},
		{"nothing", missing, false, Probe{}, Absent, "it is not there"},
	} {
		t.Run(test.name, func(t *testing.T) {
			mountPoint := ""
			if test.require {
				mountPoint = test.path
			}
			got := Look(test.path, mountPoint, Probe{})
			wantError(t, got.Err, test.reason, test.says)
			test.want.Path = test.path
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(Probe{}, "Inode", "Err"), cmp.AllowUnexported(Sign{})); diff != "" {
				t.Errorf("probe (-want +got):\n%s", diff)
			}
		})
	}
	if Look(mounted, "", Probe{}).Identity() != Look(shown, "", Probe{}).Identity() {
		t.Error("a disk is another one at another path")
	}
}

// TestLookAgain gives Look what it found before: it saves a look at the mount
// table, and nothing else.
func TestLookAgain(t *testing.T) {
	plugin.RequireRoot(t)
	path, image := t.TempDir(), disk.Image(t, "ext4", 16*mebibyte)
	newDisk(t, path, one)
	below := Look(path, "", Probe{})
	disk.MountImage(t, image, path)
	newDisk(t, path, two)
	above := Look(path, "", below)
	if !above.MountPoint || above.Marker.UUID != two {
		t.Errorf("the disk that was mounted is %+v", above)
	}
	if again := Look(path, "", above); cmp.Diff(above, again, cmp.AllowUnexported(Sign{})) != "" {
		t.Errorf("nothing has changed, and it was %+v, and is %+v", above, again)
	}
	if err := os.Remove(filepath.Join(path, MarkerFile)); err != nil {
		t.Fatal(err)
	}
	if got := Look(path, path, above); !got.MountPoint || got.Marker != nil {
		t.Errorf("the disk that lost its marker is %+v", got)
	}
	mustUnmount(t, path)
	if got := Look(path, "", above); got.MountPoint || got.Marker == nil || got.Marker.UUID != one {
		t.Errorf("the directory below is %+v", got)
	}
	wantError(t, Look(path, path, above).Err, Absent, "no disk is mounted there")
}

// TestLookWhileMade looks at a directory that is being made a disk, as another path
// that shows it may: it is empty, or that disk, and nothing else at any time.
func TestLookWhileMade(t *testing.T) {
	plugin.RequireRoot(t)
	for range 30 {
		path := t.TempDir()
		d := open(t, path)
		made := make(chan error, 1)
		go func() {
			_, err := Initialise(d, one, time.Now())
			made <- err
		}()
		for p := (Probe{}); p.Marker == nil && !t.Failed(); {
			if p = Look(path, "", Probe{}); p.Err != nil {
				t.Error(p.Err)
			}
		}
		if err := <-made; err != nil {
			t.Fatal(err)
		}
	}
}

func TestProbeString(t *testing.T) {
	for want, c := range map[string]Candidate{
		"disk " + one + " on ext4 hdd":                                      holding("/a", one, 0, hdd, 2),
		"an empty directory on tmpfs":                                       empty("/a", unnamed, 2),
		"a copy of disk " + one + " on xfs ssd, which was made on ext4 hdd": madeOn(hdd, holding("/a", one, 0, ssd, 2)),
		"no such device":                                                    faulty(Candidate{}, unix.ENODEV),
	} {
		if got := c.Probe.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
