package store

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUnknownFieldsStay has a newer version's fields in a record survive all that
// this version does with the volume.
func TestUnknownFieldsStay(t *testing.T) {
	base := t.TempDir()
	s := keeping(t, base, "trashTTL: 1h")
	req := request("pvc-1")
	req.MountOptions = []string{"noatime", "noexec"}
	v := mustCreate(t, s, req)
	file := filepath.Join(filepath.Dir(v.Path), recordFile)
	read := func() (fields map[string]any) {
		t.Helper()
		data, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(data, &fields)
		}
		if err != nil {
			t.Fatal(err)
		}
		return fields
	}
	fields := read()
	fields["colour"] = map[string]any{"red": 1.0, "of": []any{"a", nil}}
	fields["claims"] = "a word like one that is known"
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, string(data))

	s = reopen(t, s)
	if _, err := s.Expand(t.Context(), v.ID, 2*mebibyte, 0); err != nil {
		t.Fatal(err)
	}
	fields["capacityBytes"] = 2.0 * mebibyte
	if diff := cmp.Diff(fields, read()); diff != "" {
		t.Errorf("after an expansion (-want +got):\n%s", diff)
	}
	mustDelete(t, s, v.ID)
	back, _, err := s.Undelete(t.Context(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fields, read()); diff != "" {
		t.Errorf("after it was deleted and brought back (-want +got):\n%s", diff)
	}
	if !slices.Equal(back.MountOptions, req.MountOptions) {
		t.Errorf("mount options %q, want %q", back.MountOptions, req.MountOptions)
	}
	if _, err := s.Expand(t.Context(), v.ID, 3*mebibyte, 0); err != nil {
		t.Fatal(err)
	}
	fields["capacityBytes"] = 3.0 * mebibyte
	if diff := cmp.Diff(fields, read()); diff != "" {
		t.Errorf("after one more expansion (-want +got):\n%s", diff)
	}
	wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings)
}
