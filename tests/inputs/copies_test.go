package inputs

import (
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
)

// TestSnapshotRefuses asks for snapshots that cannot be.
func TestSnapshotRefuses(t *testing.T) {
	s := start(t)
	made, err := s.CreateVolume(s.ctx, goodCreate("pvc-source"))
	if err != nil {
		t.Fatal(err)
	}
	id := made.GetVolume().GetVolumeId()
	strange := "00000000-0000-4000-8000-000000000000" + id[strings.IndexByte(id, '.'):]
	for _, test := range []struct {
		name   string
		change func(*csi.CreateSnapshotRequest)
		want   codes.Code
		says   string
	}{
		{"no name", func(r *csi.CreateSnapshotRequest) { r.Name = "" }, codes.InvalidArgument, "needs a name"},
		{"a name of 129 bytes", func(r *csi.CreateSnapshotRequest) { r.Name = strings.Repeat("n", 129) }, codes.InvalidArgument, "at most 128"},
		{"no source", func(r *csi.CreateSnapshotRequest) { r.SourceVolumeId = "" }, codes.InvalidArgument, "source volume"},
		{"a path as source", func(r *csi.CreateSnapshotRequest) { r.SourceVolumeId = "../../etc" }, codes.NotFound, "<uuid>.<name>"},
		{"another node's volume", func(r *csi.CreateSnapshotRequest) { r.SourceVolumeId = strange }, codes.FailedPrecondition, "no path of node"},
		{"an unknown parameter", func(r *csi.CreateSnapshotRequest) { r.Parameters = map[string]string{"pool": "fast"} }, codes.InvalidArgument, "known are consistency and copy"},
		{"a parameter's unknown value", func(r *csi.CreateSnapshotRequest) { r.Parameters = map[string]string{"copy": "maybe"} }, codes.InvalidArgument, "none of auto and never"},
		{"a path as VolumeSnapshot", func(r *csi.CreateSnapshotRequest) {
			r.Parameters = map[string]string{"csi.storage.k8s.io/volumesnapshot/namespace": "..", "csi.storage.k8s.io/volumesnapshot/name": "x"}
		}, codes.InvalidArgument, "not the name of a VolumeSnapshot"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := snapshot(t, s.root)
			req := &csi.CreateSnapshotRequest{Name: "snapshot-refused", SourceVolumeId: id}
			test.change(req)
			_, err := s.CreateSnapshot(s.ctx, req)
			wantCode(t, err, test.want, test.says)
			wantSame(t, s.root, before)
		})
	}
	before := snapshot(t, s.root)
	for _, id := range []string{"../../etc", id, strings.Replace(id, ".", ".snapshots.", 1)} { // which there are not
		if _, err := s.DeleteSnapshot(s.ctx, &csi.DeleteSnapshotRequest{SnapshotId: id}); err != nil {
			t.Errorf("delete of %s: %v", id, err)
		}
	}
	wantSame(t, s.root, before)
}
