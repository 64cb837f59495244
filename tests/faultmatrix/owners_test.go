package faultmatrix

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/plugin"
)

// TestTwoClusters runs the hostdirs of two clusters, which have nothing in common but
// a pool's directory: the second one is refused the disk, touches nothing, and has it
// once the first one has ended.
func TestTwoClusters(t *testing.T) {
	first := start(t, "")
	id := first.create(t, "pvc-1")
	building := filepath.Join(first.Base, "volumes", ".new-pvc-2")
	if err := os.Mkdir(building, 0o700); err != nil {
		t.Fatal(err)
	}
	before := tree(t, first.Base)

	second := layout(t, first.Base)
	second.run(t)
	for began := time.Now(); time.Since(began) < 12*time.Second; time.Sleep(time.Second) { // it looks every 10 seconds
		if d := second.disks(t)[first.Base]; d.State != "unusable" || d.Reason != "owned" || !strings.Contains(d.Message, "hostdir on node "+plugin.NodeName+" uses it") {
			t.Fatalf("the second one says of the disk: %+v", d)
		}
	}
	_, err := second.Create(second.ctx, "pvc-2", mebibyte)
	plugin.WantCode(t, "create by the second", err, codes.ResourceExhausted)
	plugin.WantCode(t, "publish by the second", second.Publish(second.ctx, id, second.target("target")), codes.Unavailable)
	wantTree(t, first.Base, before)
	plugin.WantCode(t, "publish by the first", first.Publish(first.ctx, id, first.target("target")), codes.OK)
	plugin.WantCode(t, "unpublish by the first", first.Unpublish(first.ctx, id, first.target("target")), codes.OK)

	first.Expect("Leftover")
	first.stop(t)
	await(t, "the second one uses the disk", 15*time.Second, func() bool { return second.disks(t)[first.Base].State == "ready" })
	plugin.WantCode(t, "publish by the second", second.Publish(second.ctx, id, second.target("target")), codes.OK)
	plugin.WantCode(t, "unpublish by the second", second.Unpublish(second.ctx, id, second.target("target")), codes.OK)
	second.waitPurged(t)
	if _, err := os.Lstat(building); !os.IsNotExist(err) {
		t.Errorf("what the first had begun is left: %v", err)
	}
}
