package hungdisk

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/plugin"
)

// snapshot asks for a snapshot of a volume. One that is not ready has to be asked for
// again.
func (n *node) snapshot(ctx context.Context, v volume) error {
	resp, err := n.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: v.snapshot(), SourceVolumeId: v.id})
	if err == nil && !resp.GetSnapshot().GetReadyToUse() {
		err = status.Error(codes.Aborted, "it is not ready")
	}
	return err
}

func (v volume) snapshot() string { return "snapshot-" + v.name }

func (n *node) deleteSnapshot(ctx context.Context, v volume) error {
	disk := strings.TrimSuffix(v.id, "."+v.name)
	_, err := n.DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{SnapshotId: disk + ".snapshots." + v.snapshot()})
	return err
}

// clone asks for a volume that begins as a copy of another one.
func (n *node) clone(ctx context.Context, v volume) error {
	req := plugin.GoodCreate(v.clone(), mebibyte)
	req.Parameters = map[string]string{"pool": "c"}
	req.VolumeContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
		Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: v.id},
	}}
	_, err := n.CreateVolume(ctx, req)
	return err
}

func (v volume) clone() string { return "clone-" + v.name }

func wantSnapshot(t *testing.T, n *node, v volume) {
	t.Helper()
	wantOnce(t, n, v)
	wantCopy(t, n, "snapshots", v.snapshot(), v)
}

func wantNoSnapshot(t *testing.T, n *node, v volume) {
	t.Helper()
	wantOnce(t, n, v)
	wantNone(t, n, "snapshots", v.snapshot())
}

func wantClone(t *testing.T, n *node, v volume) {
	t.Helper()
	wantOnce(t, n, v)
	n.wantListed(t, v.clone(), 1)
	wantCopy(t, n, "volumes", v.clone(), v)
}

// wantCopy checks that a copy is whole, and that nothing half made is beside it.
func wantCopy(t *testing.T, n *node, folder, name string, of volume) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(n.c, folder, name, "data", "precious"))
	if err != nil || string(content) != of.name {
		t.Errorf("the copy %s holds %q: %v", name, content, err)
	}
	wantNone(t, n, folder, ".new-"+name)
}

func wantNone(t *testing.T, n *node, folder, name string) {
	t.Helper()
	if _, err := os.Lstat(filepath.Join(n.c, folder, name)); !os.IsNotExist(err) {
		t.Errorf("%s/%s is there: %v", folder, name, err)
	}
}
