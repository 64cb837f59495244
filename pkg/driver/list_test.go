package driver

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/hostdir/hostdir/tests/plugin"
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

// TestListVolumesMany lists more volumes than a node has, all names as long as
// they can be, for a client that takes no more than gRPC's 4 MiB.
func TestListVolumesMany(t *testing.T) {
	const volumes = maxPage + 1
	layout := plugin.Layout(t, "")
	if err := unix.Mount("tmpfs", layout.Base, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(layout.Base, unix.MNT_DETACH) })
	name := func(i int) string { return fmt.Sprintf("%063d", i) }
	longest := strings.Repeat("n", 63)
	s := startDriverOn(t, layout, DefaultName, longest)
	id := s.create(t, name(0))
	record, err := os.ReadFile(filepath.Join(s.volumes, name(0), "volume.json"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < volumes; i++ {
		dir := filepath.Join(s.volumes, name(i))
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "volume.json"), bytes.ReplaceAll(record, []byte(name(0)), []byte(name(i))), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	s = startDriverOn(t, layout, strings.Repeat("d", 63), longest)
	resp, err := s.controller.ListVolumes(s.ctx, &csi.ListVolumesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d volumes take %d bytes", len(resp.GetEntries()), proto.Size(resp))
	if len(resp.GetEntries()) != maxPage || resp.GetEntries()[0].GetVolume().GetVolumeId() != id {
		t.Errorf("%d volumes are listed, want %d", len(resp.GetEntries()), maxPage)
	}
	rest, next := s.page(t, 0, resp.GetNextToken())
	if len(rest) != 1 || next != "" || !strings.HasSuffix(rest[0], name(volumes-1)) {
		t.Errorf("the second page is %q with token %q, want the last volume", rest, next)
	}
}
