package store

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	pkgdisk "github.com/hostdir/hostdir/pkg/disk"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

// testdata/v1 holds what hostdir wrote in the first version of its format. It
// stays as it is for all time: disks do.
const golden = "testdata/v1"

// A later field of a record gets a file of its own here, and changes none.
var goldenRecords = map[string]Record{
	"minimal.json": {
		Version: 1, ID: goldenUUID + ".pvc-1", Name: "pvc-1", CapacityBytes: 1, Class: defaultClass, Node: "node-1", Created: goldenTime,
	},
	"quota.json": {
		Version: 1, ID: goldenUUID + ".pvc-2", Name: "pvc-2", CapacityBytes: 1 << 30, Class: defaultClass, Node: "node-1",
		Quota: &Quota{Kind: quota.Ext4, ID: 16777216}, Created: goldenTime,
	},
	"full.json": {
		Version: 1, ID: goldenUUID + ".sha256-0cc03dc8dc4dec0a41cafae29fe1bbf4a5cc1341", Name: goldenName, CapacityBytes: 1 << 40,
		Class: config.Class{Pool: "nvme", Mode: "2770", UID: 1000, GID: 4294967294, Quota: config.QuotaRequired},
		Node:  "ip-10-0-0-1.eu-central-1.compute.internal", Claim: Claim{"shop", "www-web-0"}, PersistentVolume: "pvc-c13a0e07-63bd-40e5-82f5-2353bebc7948",
		Quota: &Quota{Kind: quota.XFS, ID: 33554431}, Created: goldenTime,
	},
	"trash-ttl.json": {
		Version: 1, ID: goldenUUID + ".pvc-3", Name: "pvc-3", CapacityBytes: 1 << 20,
		Class: config.Class{Pool: "default", Mode: "0777", Quota: config.QuotaOff, TrashTTL: "168h0m0s"}, Node: "node-1", Created: goldenTime,
	},
	"adoption.json": {
		Version: 1, ID: goldenUUID + ".pvc-4", Name: "pvc-4", CapacityBytes: 1 << 20,
		Class: config.Class{Name: "hostdir-retain", Pool: "default", Mode: "0777", Quota: config.QuotaAuto}, Node: "node-1",
		MountOptions: []string{"noatime"}, AccessModes: []string{"ReadWriteOnce", "ReadWriteOncePod"}, Created: goldenTime,
	},
}

const (
	goldenUUID = "b490df6d-2009-4f77-a840-0552710a9304"
	goldenName = "team a/<www> & \"🐘\"\n"
)

var goldenTime = time.Date(2026, 11, 23, 15, 49, 47, 123456789, time.UTC)

func TestGoldenRecords(t *testing.T) {
	if entries, err := os.ReadDir(filepath.Join(golden, "records")); err != nil || len(entries) != len(goldenRecords) {
		t.Errorf("%d records are kept (%v), %d are known", len(entries), err, len(goldenRecords))
	}
	for name, want := range goldenRecords {
		t.Run(name, func(t *testing.T) {
			kept, err := os.ReadFile(filepath.Join(golden, "records", name))
			if err != nil {
				t.Fatal(err)
			}
			path := t.TempDir()
			writeFile(t, filepath.Join(path, recordFile), string(kept))
			d, err := dir.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			got, err := readAnyRecord(d)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("it is not read as it was meant (%v) (-want +got):\n%s", err, diff)
			}
			if err := writeRecord(d, "written", want); err != nil {
				t.Fatal(err)
			}
			written, err := os.ReadFile(filepath.Join(path, "written"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(kept), string(written)); diff != "" {
				t.Errorf("it is written in another way (-kept +written):\n%s", diff)
			}
		})
	}
}

// TestGoldenMarker reads and writes a marker. Later fields may stand beside what
// is in it, as long as it is read without them.
func TestGoldenMarker(t *testing.T) {
	kept, err := os.ReadFile(filepath.Join(golden, markerFile))
	if err != nil {
		t.Fatal(err)
	}
	want := pkgdisk.Marker{
		Version: 1, UUID: goldenUUID, Filesystem: dir.Filesystem{Type: "xfs", UUID: "0f1c2d3e-4b5a-6978-8796-a5b4c3d2e1f0"}, Created: goldenTime,
	}
	var got pkgdisk.Marker
	if err := json.Unmarshal(kept, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("it is read as %+v (%v), want %+v", got, err, want)
	}
	written, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var before, now map[string]any
	if err := json.Unmarshal(kept, &before); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(written, &now); err != nil {
		t.Fatal(err)
	}
	for field, value := range before {
		if !reflect.DeepEqual(now[field], value) {
			t.Errorf("the field %s is written as %v, it was %v", field, now[field], value)
		}
	}
}

// goldenPool mounts a filesystem with a small disk of the first version: the
// volumes pvc-1 and one whose name is hashed, and pvc-deleted in the trash.
func goldenPool(t *testing.T) (base string) {
	t.Helper()
	base = mountTmpfs(t, "size=16g")
	if err := os.CopyFS(base, os.DirFS(filepath.Join(golden, "disk"))); err != nil {
		t.Fatal(err)
	}
	return base
}

const (
	goldenPlain  = goldenUUID + ".pvc-1"
	goldenHashed = goldenUUID + ".sha256-0cc03dc8dc4dec0a41cafae29fe1bbf4a5cc1341"
	goldenTrash  = "pvc-deleted.20261123T184417Z.5f4ae8a2-7b1d-4d3a-9a51-2a5d1f0f3b11"
)

// wantHello checks that a volume holds what the golden ones do.
func wantHello(t *testing.T, s *Store, volumeID string) {
	t.Helper()
	err := s.WithData(t.Context(), volumeID, func(data *os.File) error {
		content, err := os.ReadFile(filepath.Join(data.Name(), "hello"))
		if string(content) != "hello\n" {
			t.Errorf("%s holds %q", volumeID, content)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestGoldenPool(t *testing.T) {
	base := goldenPool(t)
	before := content(t, base)
	s := openStore(t, onePool(base))
	if err := brokenBecause(t, s); err != nil {
		t.Fatal(err)
	}
	wantHello(t, s, goldenPlain)
	wantHello(t, s, goldenHashed)
	if all := s.Volumes(); len(all) != 2 || all[0].ID != goldenPlain || all[1].Name != goldenName || all[1].Claim != (Claim{"shop", "www-web-0"}) {
		t.Errorf("the volumes are %+v", all)
	}
	wantTrash(t, s, "pvc-deleted")
	if trash := s.Trash(); len(trash) != 1 || trash[0].Entry != goldenTrash || trash[0].Record == nil || trash[0].Deleted.IsZero() {
		t.Errorf("the trash is %+v", trash)
	}
	s.purgeAll(t.Context())
	// The same requests again are the same volumes.
	for _, req := range []CreateRequest{
		{Name: "pvc-1", Class: defaultClass},
		{Name: goldenName, Class: defaultClass, Claim: Claim{"shop", "www-web-0"}},
	} {
		if v, err := s.Create(t.Context(), req); err != nil || v.ID != goldenPlain && v.ID != goldenHashed {
			t.Errorf("%q is %s, %v", req.Name, v.ID, err)
		}
	}
	for path, was := range before {
		if is := content(t, base)[path]; is != was {
			t.Errorf("%s was %s, and is %s", path, was, is)
		}
	}

	v, _, err := s.Undelete(t.Context(), "pvc-deleted")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{v.ID, goldenPlain, goldenHashed} {
		wantHello(t, s, id)
		mustDelete(t, s, id)
	}
}

// TestNewerRecord has one record of a version that this hostdir does not know:
// that volume is refused, and nothing else.
func TestNewerRecord(t *testing.T) {
	base := goldenPool(t)
	volume := filepath.Join(base, volumesDir, "pvc-1")
	makeNewer(t, filepath.Join(volume, recordFile))
	before := content(t, volume)
	s := openStore(t, onePool(base))
	for range 2 {
		err := s.WithData(t.Context(), goldenPlain, anyUse)
		if err == nil || !strings.Contains(err.Error(), "has version 2, this hostdir knows version 1") {
			t.Errorf("error %v, want one that names both versions", err)
		}
		if err := s.Delete(t.Context(), goldenPlain, anyUse); err == nil || strings.Contains(err.Error(), errdefs.ErrNotFound.Error()) {
			t.Errorf("a volume of a newer version is deleted: %v", err)
		}
		if _, err := s.Create(t.Context(), CreateRequest{Name: "pvc-1", Class: defaultClass}); err == nil {
			t.Error("a volume of a newer version is created again")
		}
		wantHello(t, s, goldenHashed)
		mustDelete(t, s, mustCreate(t, s, request("pvc-new")).ID)
		s = reopen(t, s)
		s.purgeAll(t.Context())
	}
	if diff := cmp.Diff(before, content(t, volume)); diff != "" {
		t.Errorf("the volume has changed (-before +after):\n%s", diff)
	}
}

// TestNewerMarker has a marker of such a version: nobody knows what is on disk.
func TestNewerMarker(t *testing.T) {
	base := goldenPool(t)
	makeNewer(t, filepath.Join(base, markerFile))
	before := content(t, base)
	s := openStore(t, onePool(base))
	if err := brokenBecause(t, s); err == nil || !strings.Contains(err.Error(), "has version 2, this hostdir knows version 1") {
		t.Errorf("error %v, want one that names both versions", err)
	}
	wantUnusable(t, s, goldenPlain)
	s.refresh(t.Context())
	s.purgeAll(t.Context())
	if diff := cmp.Diff(before, content(t, base)); diff != "" {
		t.Errorf("the disk has changed (-before +after):\n%s", diff)
	}
}

func makeNewer(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	newer := strings.Replace(string(data), `"version": 1`, `"version": 2`, 1)
	if newer == string(data) {
		t.Fatalf("%s holds no version 1", file)
	}
	writeFile(t, file, newer)
}
