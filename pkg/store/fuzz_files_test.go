package store

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/quota"
)

// recordOf is a whole record of a volume called pvc-1, as JSON.
func recordOf(change func(r *Record)) []byte {
	r := Record{
		Version: recordVersion, ID: testUUID + ".pvc-1", Name: "pvc-1", CapacityBytes: mebibyte, Class: defaultClass, Node: testNode,
		Claim: Claim{"shop", "www-web-0"}, PersistentVolume: "pvc-1",
	}
	change(&r)
	data, err := json.Marshal(r)
	if err != nil {
		panic(err) // a test's own record
	}
	return data
}

// seedRecords are where the search for records begins that do harm.
func seedRecords(f *testing.F) {
	f.Add(recordOf(func(*Record) {}))
	f.Add(recordOf(func(r *Record) { r.Quota = &Quota{Kind: quota.Ext4, ID: 1 << 24} }))
	f.Add(recordOf(func(r *Record) { r.Claim = Claim{"../../outside", "new"} }))
	f.Add(recordOf(func(r *Record) { r.Claim = Claim{"shop", "../../disk.json"} }))
	f.Add(recordOf(func(r *Record) { r.Claim = Claim{"..", ".."} }))
	f.Add(recordOf(func(r *Record) { r.CapacityBytes = -mebibyte }))
	f.Add(recordOf(func(r *Record) { r.CapacityBytes = 1<<63 - 1 }))
	f.Add(recordOf(func(r *Record) { r.ID = testUUID + ".neighbour" }))
	f.Add(recordOf(func(r *Record) { r.Version = 2 }))
	f.Add(recordOf(func(r *Record) { r.Class.TrashTTL = "7d" }))
	f.Add([]byte("{"))
	f.Add([]byte("null"))
}

// FuzzRecord reads a record, and what it was understood to be once more.
func FuzzRecord(f *testing.F) {
	seedRecords(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		path := t.TempDir()
		writeFile(t, filepath.Join(path, recordFile), string(data))
		d, err := dir.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		r, err := readAnyRecord(d)
		if err != nil {
			return
		}
		if id, err := ParseVolumeID(r.ID); err != nil || !harmless(id.Name) {
			t.Errorf("a record of the volume %q is accepted", r.ID)
		}
		if r.Claim != (Claim{}) && (!harmless(r.Claim.Namespace) || !harmless(r.Claim.Name)) {
			t.Errorf("a record of the claim %q is accepted", r.Claim)
		}
		if r.CapacityBytes <= 0 || r.CapacityBytes*64 <= 0 {
			t.Errorf("a capacity of %d bytes is accepted", r.CapacityBytes)
		}
		if err := replaceRecord(d, r); err != nil {
			t.Fatal(err)
		}
		again, err := readAnyRecord(d)
		if diff := cmp.Diff(r, again); err != nil || diff != "" {
			t.Errorf("the record is not read as it was written (%v):\n%s", err, diff)
		}
	})
}

// FuzzRecordInPool puts a record into a volume of a disk and leads that volume
// through its life, as far as it gets. Whatever the record says, all else stays
// as it was.
func FuzzRecordInPool(f *testing.F) {
	seedRecords(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		root := t.TempDir()
		writeFile(t, filepath.Join(root, "outside"), "not the pool's")
		base := filepath.Join(root, "a", "pool")
		mkdirAll(t, base)
		s := openStore(t, onePool(base))
		neighbour := request("neighbour")
		neighbour.Claim = Claim{"shop", "db-0"}
		other := mustCreate(t, s, neighbour)
		writeFile(t, filepath.Join(other.Path, "precious"), "the neighbour's")
		victim := mustCreate(t, s, request("pvc-1"))
		writeFile(t, filepath.Join(victim.Path, "file"), "the volume's")
		// The search knows one UUID, the disk has its own.
		data = []byte(strings.ReplaceAll(string(data), testUUID, only(t, s).id.UUID))
		writeFile(t, filepath.Join(filepath.Dir(victim.Path), recordFile), string(data))
		before := content(t, root)

		s = reopen(t, s)
		_, err := s.Volume(t.Context(), victim.ID)
		sound := err == nil
		_ = s.WithData(t.Context(), victim.ID, anyUse)
		_, _ = s.Stats(t.Context(), victim.ID, anyUse)
		_, _ = s.Health(t.Context(), victim.ID)
		_, _ = s.Expand(t.Context(), victim.ID, 2*mebibyte, 0)
		s.countAll(t.Context())
		s.VolumeStatus()
		s.Capacity(defaultClass)
		if err := s.Delete(t.Context(), victim.ID, anyUse); (err == nil) != sound {
			t.Errorf("the volume is sound: %t; to delete it ends with %v", sound, err)
		}
		s = reopen(t, s)
		s.Trash()
		s.purgeAll(t.Context())

		after := content(t, root)
		for _, all := range []map[string]string{before, after} {
			for path := range all {
				switch {
				case !strings.HasPrefix(path, "a/pool/"):
				case sound && strings.HasPrefix(path, "a/pool/volumes/pvc-1"), strings.HasPrefix(path, "a/pool/trash/"):
					delete(all, path)
				}
			}
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("the record has changed what is not its volume's (-before +after):\n%s", diff)
		}
		if _, err := s.Volume(t.Context(), other.ID); err != nil {
			t.Errorf("the neighbour: %v", err)
		}
	})
}

// content is all that is below a directory: the kind of each file, and what is
// in it.
func content(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		var inside []byte
		switch entry.Type() {
		case 0:
			inside, err = os.ReadFile(path)
		case fs.ModeSymlink:
			var target string
			target, err = os.Readlink(path)
			inside = []byte(target)
		}
		all[relative] = fmt.Sprintf("%s %q", entry.Type(), inside)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
