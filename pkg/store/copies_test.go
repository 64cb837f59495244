package store

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	pkgdisk "github.com/hostdir/hostdir/pkg/disk"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// copyTree copies a disk to another filesystem, marker and all.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
}

// clone copies a disk block by block. It must not be mounted.
func clone(t *testing.T, image string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "clone.img")
	if out, err := exec.Command("cp", "--sparse=always", image, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	return to
}

// cloned is a node that has used a disk at path a, and a clone of the disk. None
// of them is mounted.
type cloned struct {
	*Store
	a, b            string
	original, clone string
	volumeID        string
}

func newCloned(t *testing.T) *cloned {
	t.Helper()
	plugin.RequireRoot(t)
	c := &cloned{a: t.TempDir(), b: t.TempDir(), original: smallImage(t)}
	disk.MountImage(t, c.original, c.a)
	c.Store = openStore(t, onePool(c.a))
	c.volumeID = mustCreate(t, c.Store, request("pvc-1")).ID
	mustUnmount(t, c.a)
	c.clone = clone(t, c.original)
	writeFile(t, c.configFile, onePool(c.a, c.b))
	return c
}

// TestClonesAtStart finds a disk and its clone mounted: nobody can tell them
// apart.
func TestClonesAtStart(t *testing.T) {
	c := newCloned(t)
	disk.MountImage(t, c.original, c.a)
	disk.MountImage(t, c.clone, c.b)
	before := filesOf(t, c.a) + filesOf(t, c.b)
	s := reopen(t, c.Store)
	wantRefused(t, s, c.a, Copied, c.b)
	wantRefused(t, s, c.b, Copied, c.a)
	wantUnusable(t, s, c.volumeID)

	// One that is left alone is not the right one for that.
	mustUnmount(t, c.a)
	s.refresh(t.Context())
	wantRefused(t, s, c.b, Copied, "hostdir disks accept "+c.b)
	s = reopen(t, s)
	wantRefused(t, s, c.b, Copied, "hostdir disks accept "+c.b)
	disk.MountImage(t, c.original, c.a)
	s.refresh(t.Context())
	wantUnusable(t, s, c.volumeID)
	if after := filesOf(t, c.a) + filesOf(t, c.b); after != before {
		t.Errorf("the disks were %q, and are %q", before, after)
	}

	obey(t, s, Accept, c.b)
	wantVolume(t, s, c.volumeID, c.b)
	wantRefused(t, s, c.a, Copied, "an older copy")
	wantOrderRefused(t, s, Accept, c.a, "in use at "+c.b+": unmount it first")
	s = reopen(t, s)
	wantVolume(t, s, c.volumeID, c.b)

	// The older one is not taken for the right one, wherever it is.
	mustUnmount(t, c.b)
	s.refresh(t.Context())
	wantRefused(t, s, c.a, Copied, "an older copy")
	mustUnmount(t, c.a)
	disk.MountImage(t, c.clone, c.b)
	s.refresh(t.Context())
	wantVolume(t, s, c.volumeID, c.b)
	mustUnmount(t, c.b)
	disk.MountImage(t, c.original, c.b)
	wantUnusable(t, s, c.volumeID) // at once
	s.refresh(t.Context())
	wantRefused(t, s, c.b, Copied, "an older copy")
	// Unless an operator says so.
	obey(t, s, Accept, c.b)
	wantVolume(t, s, c.volumeID, c.b)
	disk.MountImage(t, c.clone, c.a)
	s = reopen(t, s)
	wantVolume(t, s, c.volumeID, c.b)
	wantRefused(t, s, c.a, Copied, "an older copy")
}

// TestCloneWhileInUse mounts a clone beside the disk that is in use.
func TestCloneWhileInUse(t *testing.T) {
	c := newCloned(t)
	disk.MountImage(t, c.original, c.a)
	s := reopen(t, c.Store)
	building := filepath.Join(c.a, volumesDir, newPrefix+"pvc-2")
	mkdirAll(t, building)
	disk.MountImage(t, c.clone, c.b)
	s.refresh(t.Context())
	wantVolume(t, s, c.volumeID, c.a)
	wantRefused(t, s, c.b, Copied, "in use at "+c.a)
	wantOrderRefused(t, s, Accept, c.b, "in use at "+c.a+": unmount it first")
	if _, err := os.Stat(building); err != nil {
		t.Errorf("what is being built is gone: %v", err)
	}

	// A disk that fails does not make its clone the right one.
	mustUnmount(t, c.a)
	s.refresh(t.Context())
	wantRefused(t, s, c.b, Copied, "hostdir disks accept "+c.b)
	s = reopen(t, s)
	wantRefused(t, s, c.b, Copied, "hostdir disks accept "+c.b)
	obey(t, s, Accept, c.b)
	wantVolume(t, s, c.volumeID, c.b)

	// The one with the higher generation is right, whatever was in use.
	disk.MountImage(t, c.original, c.a)
	s.refresh(t.Context())
	wantVolume(t, s, c.volumeID, c.b)
	wantRefused(t, s, c.a, Copied, "an older copy")
}

// TestCloneWithHigherGeneration takes over from the one that was in use.
func TestCloneWithHigherGeneration(t *testing.T) {
	c := newCloned(t)
	disk.MountImage(t, c.clone, c.b)
	setGeneration(t, c.b, 3) // on another node
	mustUnmount(t, c.b)
	disk.MountImage(t, c.original, c.a)
	s := reopen(t, c.Store)
	wantVolume(t, s, c.volumeID, c.a)
	disk.MountImage(t, c.clone, c.b)
	s.refresh(t.Context())
	wantVolume(t, s, c.volumeID, c.b)
	wantRefused(t, s, c.a, Copied, c.b+" holds generation 3")
}

// TestCloneOnNewNode mounts both on a node that knows neither.
func TestCloneOnNewNode(t *testing.T) {
	c := newCloned(t)
	disk.MountImage(t, c.original, c.a)
	disk.MountImage(t, c.clone, c.b)
	s := openStore(t, onePool(c.a, c.b))
	wantUnusable(t, s, c.volumeID)
	obey(t, s, Accept, c.a)
	wantVolume(t, s, c.volumeID, c.a)
	wantRefused(t, s, c.b, Copied, "an older copy")
}

// TestCopiedDirectory copies a disk beside itself.
func TestCopiedDirectory(t *testing.T) {
	base, copied := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	s := openStore(t, onePool(base, copied))
	v := mustCreate(t, s, request("pvc-1"))
	mkdirAll(t, copied)
	copyTree(t, base, copied)
	s.refresh(t.Context())
	wantVolume(t, s, v.ID, base)
	wantRefused(t, s, copied, Copied, "in use at "+base)
	s = reopen(t, s)
	wantRefused(t, s, base, Copied, copied)
	wantRefused(t, s, copied, Copied, base)
	obey(t, s, Accept, base)
	wantVolume(t, s, v.ID, base)
	mustDelete(t, s, v.ID)
}

// TestAcceptCopy replaces a disk by a larger one, file by file.
func TestAcceptCopy(t *testing.T) {
	bothWays(t, func(t *testing.T, again func(*Store) *Store) {
		base, side := t.TempDir(), t.TempDir()
		old, larger := smallImage(t), disk.Image(t, "ext4", 32*mebibyte)
		disk.MountImage(t, old, base)
		s := openStore(t, onePool(base))
		v := mustCreate(t, s, request("pvc-1"))
		precious := filepath.Join(volumesDir, "pvc-1", dataDir, "precious")
		writeFile(t, filepath.Join(base, precious), "data")

		disk.MountImage(t, larger, side)
		copyTree(t, base, side)
		writeFile(t, s.configFile, onePool(base, side))
		s.reload(t.Context())
		s = again(s)
		wantVolume(t, s, v.ID, base)
		wantRefused(t, s, side, Copied, "made on another filesystem")
		wantOrderRefused(t, s, Accept, side, "in use at "+base+": unmount it first")
		mustUnmount(t, base)
		mustUnmount(t, side)
		disk.MountImage(t, larger, base)
		s = again(s)
		wantUnusable(t, s, v.ID)
		wantRefused(t, s, base, Copied, "hostdir disks accept "+base)

		obey(t, s, Accept, base)
		wantVolume(t, s, v.ID, base)
		if written, err := os.ReadFile(filepath.Join(base, markerFile)); err != nil || !strings.Contains(string(written), `"generation": 1,`) {
			t.Errorf("the marker is %s (%v), want generation 1", written, err)
		}
		s = again(s)
		wantVolume(t, s, v.ID, base)
		if data, err := os.ReadFile(filepath.Join(base, precious)); err != nil || string(data) != "data" {
			t.Errorf("the data is %q: %v", data, err)
		}
		disk.MountImage(t, old, side)
		s = again(s)
		wantVolume(t, s, v.ID, base)
		wantRefused(t, s, side, Copied, "an older copy")
		mustUnmount(t, side)
		mustUnmount(t, base)
		disk.MountImage(t, old, base)
		s = again(s)
		wantRefused(t, s, base, Copied, "an older copy")
	})
}

// TestAcceptExchangedCopy accepts a copy of a disk that this node has never used,
// where another one was: one word is enough for both.
func TestAcceptExchangedCopy(t *testing.T) {
	plugin.RequireRoot(t)
	base, side := t.TempDir(), t.TempDir()
	v := mustCreate(t, openStore(t, onePool(side)), request("pvc-1"))
	disk.MountImage(t, smallImage(t), base)
	s := openStore(t, onePool(base))
	mustUnmount(t, base)
	disk.MountImage(t, smallImage(t), base)
	copyTree(t, side, base)
	s.refresh(t.Context())
	wantUnusable(t, s, v.ID)
	obey(t, s, Accept, base)
	wantVolume(t, reopen(t, s), v.ID, base)
}

// TestAcceptCrashes ends accept after each of its steps, and gives it again.
func TestAcceptCrashes(t *testing.T) {
	for _, test := range []struct {
		name  string
		crash func(t *testing.T, s *Store, base string)
		// done says that nothing is left to accept.
		done bool
	}{
		{"the new marker is begun", func(t *testing.T, _ *Store, base string) {
			writeFile(t, filepath.Join(base, markerNewFile), `{"vers`)
		}, false},
		{"the new marker is written", func(t *testing.T, s *Store, base string) {
			marker, err := os.ReadFile(filepath.Join(base, markerFile))
			if err != nil {
				t.Fatal(err)
			}
			raise(t, s, base)
			if err := os.Rename(filepath.Join(base, markerFile), filepath.Join(base, markerNewFile)); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(base, markerFile), string(marker))
		}, false},
		{"the new marker has its name", raise, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			plugin.RequireRoot(t)
			base, side := t.TempDir(), t.TempDir()
			disk.MountImage(t, smallImage(t), base)
			s := openStore(t, onePool(base))
			v := mustCreate(t, s, request("pvc-1"))
			copied := smallImage(t)
			disk.MountImage(t, copied, side)
			copyTree(t, base, side)
			mustUnmount(t, side)
			mustUnmount(t, base)
			disk.MountImage(t, copied, base)
			s.refresh(t.Context())
			test.crash(t, s, base)
			s = reopen(t, s)
			if !test.done {
				wantUnusable(t, s, v.ID)
				obey(t, s, Accept, base)
			}
			wantVolume(t, s, v.ID, base)
			wantNames(t, base, claimsDir, markerFile, "lost+found", ownerFile, trashDir, volumesDir)
		})
	}
}

// setGeneration changes a disk's marker.
func setGeneration(t *testing.T, base string, generation int) {
	t.Helper()
	file := filepath.Join(base, markerFile)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var m pkgdisk.Marker
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	m.Generation = generation
	if data, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, string(data))
}

// raise does what accept does to the marker.
func raise(t *testing.T, s *Store, base string) {
	t.Helper()
	p, err := s.Plan(t.Context(), Accept, base)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Prepare(); err != nil {
		t.Fatal(err)
	}
}
