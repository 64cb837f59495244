package inputs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
)

func TestVolumeReplacedByLink(t *testing.T) {
	s := start(t)
	s.Expect("Quarantined", "DataMissing", "ForeignFile")
	tests := []struct {
		name   string
		volume string
		// replace puts a symbolic link into the volume's place.
		replace func(volume string)
	}{
		{"the volume by a link to the root", "pvc-1", func(volume string) {
			rename(t, volume, volume+"-moved")
			symlink(t, "/", volume)
		}},
		{"the volume by a link to itself, moved away", "pvc-2", func(volume string) {
			rename(t, volume, filepath.Join(s.outside, "moved"))
			symlink(t, filepath.Join(s.outside, "moved"), volume)
		}},
		{"the volume by a link to itself, beside it", "pvc-3", func(volume string) {
			rename(t, volume, volume+"-moved")
			symlink(t, filepath.Base(volume)+"-moved", volume)
		}},
		{"the data by a link to the root", "pvc-4", func(volume string) {
			rename(t, filepath.Join(volume, "data"), filepath.Join(volume, "moved"))
			symlink(t, "/", filepath.Join(volume, "data"))
		}},
		{"the data by a link to another directory", "pvc-5", func(volume string) {
			rename(t, filepath.Join(volume, "data"), filepath.Join(volume, "moved"))
			symlink(t, filepath.Join(s.outside, "data"), filepath.Join(volume, "data"))
		}},
	}
	ids := make([]string, len(tests))
	for i, test := range tests {
		ids[i] = s.create(t, test.volume)
		test.replace(s.VolumeDir(ids[i]))
	}
	target := filepath.Join(s.KubeletDir, "target")
	s.nowAndAfterRestart(t, func(t *testing.T) {
		before := snapshot(t, s.root)
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				wantCode(t, s.publish(ids[i], target), codes.Internal, "a symbolic link, which hostdir does not follow")
				wantCode(t, s.delete(ids[i]), codes.Internal, "a symbolic link, which hostdir does not follow")
				wantSame(t, s.root, before)
			})
		}
	})
}

func TestDamagedRecords(t *testing.T) {
	rewrite := func(change func(record map[string]any)) func([]byte) []byte {
		return func(data []byte) []byte {
			var record map[string]any
			if err := json.Unmarshal(data, &record); err != nil {
				t.Fatal(err)
			}
			change(record)
			data, err := json.Marshal(record)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
	}
	s := start(t)
	s.Expect("Quarantined")
	good := s.create(t, "pvc-good")
	tests := []struct {
		name   string
		volume string
		damage func(record []byte) []byte // nil to remove it
		says   string
	}{
		{"gone", "pvc-gone", nil, "is gone"},
		{"empty", "pvc-empty", func([]byte) []byte { return nil }, "cannot be read"},
		{"cut off", "pvc-cut-off", func(data []byte) []byte { return data[:len(data)/2] }, "cannot be read"},
		{"zeros", "pvc-zeros", func(data []byte) []byte { return make([]byte, len(data)) }, "cannot be read"},
		{"huge", "pvc-huge", func([]byte) []byte { return []byte(strings.Repeat(" ", mebibyte)) }, "not a regular file"},
		{"newer", "pvc-newer", rewrite(func(record map[string]any) { record["version"] = 2 }), "has version 2"},
		{"of no version", "pvc-no-version", rewrite(func(record map[string]any) { delete(record, "version") }), "has version 0"},
		{"of another volume", "pvc-foreign", rewrite(func(record map[string]any) { record["id"] = good }), "belongs to volume"},
	}
	ids := make([]string, len(tests))
	for i, test := range tests {
		ids[i] = s.create(t, test.volume)
		file := filepath.Join(s.VolumeDir(ids[i]), "volume.json")
		record, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if test.damage == nil {
			continue
		}
		if err := os.WriteFile(file, test.damage(record), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	target := filepath.Join(s.KubeletDir, "target")
	s.nowAndAfterRestart(t, func(t *testing.T) {
		before := snapshot(t, s.root)
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				wantCode(t, s.publish(ids[i], target), codes.Internal, test.says)
				wantCode(t, s.delete(ids[i]), codes.Internal, "quarantine")
				_, err := s.CreateVolume(s.ctx, goodCreate(test.volume))
				wantCode(t, err, codes.Internal, "quarantine")
				wantSame(t, s.root, before)
			})
		}
		wantCode(t, s.publish(good, target), codes.OK, "")
		wantCode(t, s.unpublish(good, target), codes.OK, "")
		resp, err := s.ListVolumes(s.ctx, &csi.ListVolumesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		listed := func(e *csi.ListVolumesResponse_Entry) bool { return e.GetVolume().GetVolumeId() == good }
		if !slices.ContainsFunc(resp.GetEntries(), listed) {
			t.Error("the sound volume is not listed")
		}
	})
	wantCode(t, s.delete(good), codes.OK, "")
	s.waitPurged(t)
}

// nowAndAfterRestart runs a test on what the program has in memory, and on what
// it reads at start.
func (s *server) nowAndAfterRestart(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Run("while running", test)
	s.restart(t)
	t.Run("after a restart", test)
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
