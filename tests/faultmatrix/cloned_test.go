package faultmatrix

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestNodeCloned starts hostdir on what a clone of a node has: another name, the same
// disk, and the same memory of it. The disk is refused. If somebody accepts it all the
// same, the original's volumes are there, and take room, which is told wherever one
// looks; nothing is done about it. Once what is hostdir's is removed, the directory
// becomes a disk of the clone's own without a word or a restart, and has none of the
// original's volumes.
func TestNodeCloned(t *testing.T) {
	plugin.RequireRoot(t)
	s := start(t, disk.Mount(t, "xfs", 512*mebibyte))
	id, err := s.Create(s.ctx, "pvc-original", 100*mebibyte)
	plugin.WantCode(t, "create", err, codes.OK)
	s.stop(t)
	s.Node = "clone"
	s.run(t)
	if d := s.disks(t)[s.Base]; d.Reason != "owned" {
		t.Errorf("the original's disk is %+v", d)
	}
	run(t, plugin.Build(t), "disks", "accept", "--yes", "--endpoint=unix://"+s.Socket, s.Base)
	original := s.disks(t)[s.Base]
	if original.Volumes != 1 || original.AllocatedBytes != 100*mebibyte || original.State != admin.Ready {
		t.Fatalf("the clone has %d volumes, which take %d bytes, and is %s", original.Volumes, original.AllocatedBytes, original.State)
	}
	if diff := cmp.Diff([]admin.NodeVolumes{{Node: plugin.NodeName, Volumes: 1}}, original.OtherNodes); diff != "" {
		t.Errorf("other nodes (-want +got):\n%s", diff)
	}
	var volumes admin.Volumes
	s.ask(t, &volumes, "volumes")
	if len(volumes.Volumes) != 1 || volumes.Volumes[0].Node != plugin.NodeName {
		t.Errorf("volumes %+v", volumes)
	}
	s.wantMadeElsewhere(t, 1)
	plugin.CheckClean(t, s.Plugin) // it is no fault: the disk may have been moved

	for _, name := range []string{"disk.json", "owner.json", "volumes", "trash", "claims"} {
		if err := os.RemoveAll(filepath.Join(s.Base, name)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the emptied directory is a new disk", 25*time.Second, func() bool {
		now := s.disks(t)[s.Base]
		return now.State == "ready" && now.UUID != original.UUID && now.Volumes == 0 && now.AllocatedBytes == 0 && now.OtherNodes == nil
	})
	plugin.WantCode(t, "publish", s.Publish(s.ctx, id, s.target("target")), codes.FailedPrecondition)
	plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.FailedPrecondition)
	s.create(t, "pvc-clone")
	s.wantMadeElsewhere(t, 0)
	s.stop(t)
	if n := strings.Count(s.Log(), "made on another node"); n != 1 {
		t.Errorf("it is logged %d times that volumes were made on another node, want once", n)
	}
	s.run(t)
}

// wantMadeElsewhere checks the metric of volumes that were made on another node.
func (s *server) wantMadeElsewhere(t *testing.T, n int) {
	t.Helper()
	resp, err := http.Get("http://" + s.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	want := fmt.Sprintf("hostdir_disk_other_node_volumes{pool=\"default\",path=%q} %d\n", s.Base, n)
	if err != nil || !strings.Contains(string(text), want) {
		t.Errorf("the metrics do not say %s (%v)", want, err)
	}
}
