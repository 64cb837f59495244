package server

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/tests/plugin"
)

func TestTrash(t *testing.T) {
	layout := plugin.Layout(t, "")
	layout.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q], trashTTL: 1h}]", layout.Base))
	c := serve(t, layout.Config, layout.Base)
	if trash, err := c.Trash(t.Context()); err != nil || trash.Volumes == nil || len(trash.Volumes) != 0 {
		t.Errorf("an empty trash is %#v (%v)", trash, err)
	}
	v := create(t, c.store, "a")
	deleteIt := func() admin.DeletedVolume {
		t.Helper()
		if err := c.store.Delete(t.Context(), v.ID, func(*os.File) error { return nil }); err != nil {
			t.Fatal(err)
		}
		trash, err := c.Trash(t.Context())
		if err != nil || len(trash.Volumes) != 1 {
			t.Fatalf("the trash is %+v: %v", trash, err)
		}
		return trash.Volumes[0]
	}
	got := deleteIt()
	if got.ID != v.ID || got.Claim == nil || got.Claim.String() != "shop/a" || got.CapacityBytes != v.CapacityBytes || got.Pool != "default" ||
		got.Deleted == nil || got.PurgeAt == nil || got.PurgeAt.Sub(*got.Deleted).Hours() != 1 {
		t.Errorf("the deleted volume is %+v", got)
	}

	if _, err := c.Undelete(t.Context(), "shop/b"); err == nil || !strings.Contains(err.Error(), `"shop/b"`) || strings.Contains(err.Error(), "409") {
		t.Errorf("error %v, want the plugin's own words", err)
	}
	back, err := c.Undelete(t.Context(), "shop/a")
	want := admin.Adoptable{
		ID: v.ID, Path: v.Path, PersistentVolume: "pvc-a", Claim: &admin.Claim{Namespace: "shop", Name: "a"}, CapacityBytes: v.CapacityBytes,
		Driver: "csi.hostdir.io", NodeLabels: map[string]string{"csi.hostdir.io/node": plugin.NodeName}, Class: v.Class,
	}
	if diff := cmp.Diff(want, back); diff != "" || err != nil {
		t.Errorf("brought back (-want +got):\n%s%v", diff, err)
	}

	got = deleteIt()
	if purged, err := c.Purge(t.Context(), got.Entry); err != nil || purged.ID != v.ID {
		t.Errorf("purged is %+v: %v", purged, err)
	}
	if _, err := c.Undelete(t.Context(), got.Entry); err == nil {
		t.Error("a volume that is being purged is brought back")
	}
}
