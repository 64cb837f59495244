package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestCordon lets a disk run empty by command, and shows that everywhere, also after
// a restart.
func TestCordon(t *testing.T) {
	t.Parallel()
	plugin.RequireRoot(t)
	base := disk.Mount(t, "ext4", 16*mebibyte)
	p := plugin.Layout(t, base)
	p.Run(t)
	v := createVolume(t, p, "a")
	wantAnswer(t, p, "", []string{"disks", "cordon", base}, 0, base+": it is cordoned since ", "hostdir disks uncordon "+base)

	check := func() {
		t.Helper()
		wantAnswer(t, p, "", []string{"disks"}, 0, base, " cordoned ", "takes no new volumes")
		out, _, _ := ask(t, p, "disks", "-o", "json")
		var disks admin.Disks
		if err := json.Unmarshal([]byte(out), &disks); err != nil || disks.Disks[0].State != admin.CordonedOff || disks.Disks[0].Cordoned == "" || disks.Disks[0].AvailableBytes == 0 {
			t.Errorf("hostdir disks -o json (%v):\n%s", err, out)
		}
		if metrics := metricsOf(t, p); !strings.Contains(metrics, `hostdir_disk_cordoned{pool="default",path="`+base+`"} 1`) {
			t.Errorf("the metrics do not tell:\n%s", metrics)
		}
		controller := csi.NewControllerClient(p.Conn)
		room, err := controller.GetCapacity(plugin.Context(t), &csi.GetCapacityRequest{})
		if err != nil || room.GetAvailableCapacity() != 0 {
			t.Errorf("the capacity is %v: %v", room, err)
		}
		_, err = tryCreate(t, p, "b")
		if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), base+" has room, but it is cordoned since") {
			t.Errorf("a new volume: %v", err)
		}
		if again, err := tryCreate(t, p, "a"); err != nil || again.GetVolumeId() != v.GetVolumeId() {
			t.Errorf("the volume that is there: %v, %v", again, err)
		}
	}
	check()
	p.Signal(t, os.Interrupt)
	p.Run(t)
	check()
	wantAnswer(t, p, "", []string{"disks", "uncordon", base}, 0, base+": it takes new volumes")
	wantAnswer(t, p, "", []string{"disks"}, 0, " ready ")
	createVolume(t, p, "b")
}

func TestCordonMistaken(t *testing.T) {
	p := layOut(t)
	p.Configure(t, `pools: [{name: default, paths: ["`+p.Base+`"], cordoned: ["`+p.Base+`"]}]`)
	p.Run(t)
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"disks", "cordon"}, 2, "PATH is missing"},
		{[]string{"disks", "uncordon", "/a", "/b"}, 2, `unexpected argument "/b"`},
		{[]string{"disks", "cordon", "/etc"}, 1, `no pool of this node has the disk "/etc"`},
		{[]string{"disks", "uncordon", p.Base}, 1, "the configuration names " + p.Base},
		{[]string{"disks"}, 0, "the configuration names " + p.Base},
		{[]string{"disks", "cordon", "--help"}, 0, "hostdir disks cordon [flags] PATH"},
	} {
		wantAnswer(t, p, "", test.args, test.code, test.says)
	}
}

func metricsOf(t *testing.T, p *plugin.Plugin) string {
	t.Helper()
	resp, err := http.Get("http://" + p.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text strings.Builder
	if err := resp.Write(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}
