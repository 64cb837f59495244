package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// harmless reports whether a name is one component that stays in its directory.
func harmless(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 255 && !strings.ContainsAny(name, "/\x00")
}

func FuzzVolumeID(f *testing.F) {
	f.Add(testUUID + ".pvc-1")
	f.Add(testUUID + ".../../etc")
	f.Add("../" + testUUID + ".pvc-1")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseVolumeID(s)
		if err != nil {
			if !errors.Is(err, errdefs.ErrNotFound) {
				t.Errorf("error %v", err)
			}
			return
		}
		if id.String() != s || len(s) > 100 || !harmless(id.Name) || strings.HasPrefix(id.Name, ".") {
			t.Errorf("%q is parsed to %q in %q", s, id.Name, id.Disk)
		}
	})
}

func FuzzDirectoryName(f *testing.F) {
	f.Add("pvc-1")
	f.Add("../../etc")
	f.Add("sha256-0000000000000000000000000000000000000000")
	f.Add("🐘\n")
	f.Fuzz(func(t *testing.T, s string) {
		name, err := directoryName(s)
		if err != nil {
			if !errors.Is(err, errdefs.ErrInvalid) {
				t.Errorf("error %v", err)
			}
			return
		}
		id := VolumeID{Disk: testUUID, Name: name}
		if parsed, err := ParseVolumeID(id.String()); err != nil || parsed != id || !harmless(name) {
			t.Errorf("the directory of %q is %q, which makes the ID %v, %v", s, name, parsed, err)
		}
		// A name either is its directory's, or nobody's can be that.
		if again, err := directoryName(name); name != s && (err != nil || again == name) {
			t.Errorf("the volume called %q would get the directory of %q", name, s)
		}
	})
}

// FuzzClaimLink reads what a link below claims/ may hold.
func FuzzClaimLink(f *testing.F) {
	f.Add("../../volumes/pvc-1/data")
	f.Add("../../volumes/a/b/data")
	f.Add("../../volumes/../data")
	f.Add("../../volumes/..")
	f.Add("/etc")
	f.Fuzz(func(t *testing.T, target string) {
		name := linkedVolume(target)
		if name == "" {
			return
		}
		if linkTarget(name) != target || !harmless(name) {
			t.Errorf("the link to %q leads to the volume %q", target, name)
		}
	})
}

// FuzzTrashName reads what somebody may have put into the trash.
func FuzzTrashName(f *testing.F) {
	f.Add("pvc-1.20261123T184417Z." + testUUID)
	f.Add("pvc-1.purge." + testUUID)
	f.Add("pvc-1." + testUUID)
	f.Add(".new-pvc-1.20261123T184417Z." + testUUID)
	f.Add("..." + testUUID)
	f.Fuzz(func(t *testing.T, file string) {
		e, ok := parseEntry(file)
		if !ok || !harmless(file) {
			return
		}
		if e.file != file || e.name == "" || !strings.HasPrefix(file, e.name+".") {
			t.Errorf("%q is read as %+v", file, e)
		}
		doomed, ok := parseEntry(e.purgingName())
		if !ok || !doomed.isPurging() || doomed.purgingName() != e.purgingName() || !harmless(doomed.file) {
			t.Errorf("%q is called %q while it is purged, which is read as %+v", file, e.purgingName(), doomed)
		}
		if !e.deleted.IsZero() && doomed.name != e.name {
			t.Errorf("%q is of %q, and while it is purged of %q", file, e.name, doomed.name)
		}
	})
}

// FuzzTrashNameOf reads the names that entries of the trash are given.
func FuzzTrashNameOf(f *testing.F) {
	f.Add("pvc-1", int64(1764000000))
	f.Add("pvc.1.purge", int64(0))
	f.Fuzz(func(t *testing.T, volume string, seconds int64) {
		name, err := directoryName(volume)
		deleted := time.Unix(seconds, 0).UTC()
		if err != nil || deleted.Year() < 1 || deleted.Year() > 9999 || deleted.IsZero() {
			return
		}
		for _, name := range []string{name, newPrefix + name} {
			e, ok := parseEntry(newEntry(name, deleted).file)
			if !ok || e.name != name || !e.deleted.Equal(deleted) {
				t.Errorf("%q, deleted %s, is read as %+v", name, deleted, e)
			}
		}
	})
}
