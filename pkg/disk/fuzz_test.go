package disk

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzMarker reads a marker. One that is accepted names its UUID.
func FuzzMarker(f *testing.F) {
	for _, filesystem := range []string{"tmpfs", "ext4", "overlay"} {
		f.Add(fmt.Appendf(nil, `{"version": 1, "uuid": "%s", "filesystem": {"type": "%s"}, "created": "2026-11-23T15:49:47Z"}`, one, filesystem))
	}
	f.Add([]byte(`{"version": 2, "uuid": "` + one + `"}`))
	f.Add([]byte(`{"version": 1, "uuid": "../../../../../../../../../etc/hostname"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := t.TempDir()
		writeFile(t, filepath.Join(path, MarkerFile), string(data))
		d, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		m, err := new(MarkerCache).Read(d)
		if err != nil {
			return
		}
		if !UUIDPattern.MatchString(m.UUID) || m.Version != markerVersion || m.Generation < 0 || m.Generation > maxGeneration {
			t.Errorf("a marker of version %d with the UUID %q and generation %d is accepted", m.Version, m.UUID, m.Generation)
		}
		wantNames(t, path, MarkerFile)
	})
}

// FuzzHistory reads a history. One that is accepted is read as it was written
// again, and one that is not is left alone.
func FuzzHistory(f *testing.F) {
	f.Add([]byte(`{"version": 1, "paths": {"/a": {"disk": "` + one + `", "filesystem": {"type": "ext4"}, "mountPoint": true}}, "generations": {"` + one + `": 3}}`))
	f.Add([]byte(`{"version": 1, "paths": {}, "generations": {}, "foreignBytes": null, "lastRun": "2026-11-23T15:49:47Z"}`))
	f.Add([]byte(`{"version": 1, "paths": null}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "disks.json")
		writeFile(t, file, string(data))
		h := NewHistory(file)
		h.Load()
		h.Intend(two)
		h.Save()
		again := NewHistory(file)
		again.Load()
		if h.Unreadable != nil {
			if again.Unreadable == nil || again.Unreadable.Error() != h.Unreadable.Error() {
				t.Errorf("a history that cannot be read (%v) was written, and reads as %v", h.Unreadable, again.Unreadable)
			}
			return
		}
		if diff := cmp.Diff(h.content, again.content); diff != "" || again.Unreadable != nil || h.Unwritable != nil {
			t.Errorf("the history is not read as it was written (%v, %v):\n%s", h.Unwritable, again.Unreadable, diff)
		}
	})
}
