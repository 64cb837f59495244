package faultmatrix

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/plugin"
)

// TestClock starts on files and records that are dated a year ahead or behind, as
// a clock that was wrong leaves them. (What it means for the trash is shown by
// pkg/store's TestTrashOfTomorrow.)
func TestClock(t *testing.T) {
	for _, years := range []int{1, -1} {
		t.Run(fmt.Sprintf("%+d year", years), func(t *testing.T) {
			s := start(t, "")
			claimed := plugin.GoodCreate("pvc-claimed", mebibyte)
			claimed.Parameters = map[string]string{"csi.storage.k8s.io/pvc/namespace": "shop", "csi.storage.k8s.io/pvc/name": "www-web-0"}
			resp, err := s.CreateVolume(s.ctx, claimed)
			if err != nil {
				t.Fatal(err)
			}
			id := resp.GetVolume().GetVolumeId()
			precious := filepath.Join(s.VolumeDir(id), "data", "precious")
			write(t, precious, "of that time")
			s.stop(t)
			then := time.Now().AddDate(years, 0, 0)
			date(t, filepath.Join(s.Base, "disk.json"), "created", then)
			date(t, filepath.Join(s.VolumeDir(id), "volume.json"), "created", then)
			err = filepath.WalkDir(s.Base, func(path string, entry fs.DirEntry, err error) error {
				if err != nil || entry.Type()&fs.ModeSymlink != 0 {
					return err
				}
				return os.Chtimes(path, then, then)
			})
			if err != nil {
				t.Fatal(err)
			}

			s.run(t)
			if again, err := s.CreateVolume(s.ctx, claimed); err != nil || again.GetVolume().GetVolumeId() != id {
				t.Errorf("created again: %v, %v", again, err)
			}
			if other := s.create(t, "pvc-other"); other == id {
				t.Errorf("another volume has the same ID, %s", id)
			}
			target := s.target("target")
			plugin.WantCode(t, "publish", s.Publish(s.ctx, id, target), codes.OK)
			wantContent(t, filepath.Join(target, "precious"), "of that time")
			plugin.WantCode(t, "expand", s.Expand(s.ctx, id, target, 2*mebibyte), codes.OK)
			s.waitCounted(t, id, target)
			plugin.WantCode(t, "unpublish", s.Unpublish(s.ctx, id, target), codes.OK)
			plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.OK)
			s.waitPurged(t)
		})
	}
}

// date changes a moment that one of the plugin's files holds.
func date(t *testing.T, file, field string, then time.Time) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var content map[string]any
	if err := json.Unmarshal(data, &content); err != nil {
		t.Fatal(err)
	}
	if content[field] == nil {
		t.Fatalf("%s has no field %s: %s", file, field, data)
	}
	content[field] = then.UTC()
	data, err = json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// waitCounted waits until the volume's figures are known after a start.
func (s *server) waitCounted(t *testing.T, volumeID, target string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		_, err := s.Stats(s.ctx, volumeID, target)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
