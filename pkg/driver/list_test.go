package driver

import (
	"fmt"
	"slices"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
)

// page lists one page of volumes.
func (s *served) page(t *testing.T, entries int32, token string) (ids []string, next string) {
	t.Helper()
	resp, err := s.controller.ListVolumes(s.ctx, &csi.ListVolumesRequest{MaxEntries: entries, StartingToken: token})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range resp.GetEntries() {
		ids = append(ids, e.GetVolume().GetVolumeId())
	}
	return ids, resp.GetNextToken()
}

func TestListVolumes(t *testing.T) {
	s := startDriver(t)
	if ids, next := s.page(t, 0, ""); len(ids) != 0 || next != "" {
		t.Errorf("without volumes the list is %q, with token %q", ids, next)
	}
	var all []string
	for i := range 7 {
		all = append(all, s.create(t, fmt.Sprintf("pvc-%d", i)))
	}
	for _, entries := range []int32{0, 1, 2, 3, 6, 7, 8} {
		t.Run(fmt.Sprintf("%d at a time", entries), func(t *testing.T) {
			var got []string
			ids, next := s.page(t, entries, "")
			for got = ids; next != ""; got = append(got, ids...) {
				if len(ids) != int(entries) {
					t.Errorf("a page of %d, want %d", len(ids), entries)
				}
				ids, next = s.page(t, entries, next)
				if len(ids) == 0 {
					t.Error("a token leads to an empty page")
				}
			}
			if diff := cmp.Diff(all, got); diff != "" {
				t.Errorf("volumes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestListVolumesWhileTheyChange deletes and creates volumes between pages: who
// is there all the time is listed once.
func TestListVolumesWhileTheyChange(t *testing.T) {
	s := startDriver(t)
	var all []string
	for i := range 5 {
		all = append(all, s.create(t, fmt.Sprintf("pvc-%d", i*2)))
	}
	got, next := s.page(t, 2, "")
	gone := []string{all[0], all[1], all[3]} // one of the pages before, the token itself, one to come
	for _, id := range gone {
		if err := s.delete(id); err != nil {
			t.Fatal(err)
		}
	}
	earlier := s.create(t, "pvc-1")
	later := s.create(t, "pvc-9")
	for next != "" {
		var ids []string
		ids, next = s.page(t, 2, next)
		got = append(got, ids...)
	}
	want := []string{all[0], all[1], all[2], all[4], later}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
	if slices.Contains(got, earlier) {
		t.Error("a volume is listed whose page was over when it was made")
	}
}

func TestListVolumesRefuses(t *testing.T) {
	s := startDriver(t)
	for _, test := range []struct {
		name string
		req  *csi.ListVolumesRequest
		want codes.Code
	}{
		{"a negative number", &csi.ListVolumesRequest{MaxEntries: -1}, codes.InvalidArgument},
		{"a strange token", &csi.ListVolumesRequest{StartingToken: "next"}, codes.Aborted},
		{"a token that is a number", &csi.ListVolumesRequest{StartingToken: "2"}, codes.Aborted},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := s.controller.ListVolumes(s.ctx, test.req)
			wantCode(t, err, test.want)
		})
	}
}
