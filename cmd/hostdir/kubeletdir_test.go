package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/pkg/socket"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestSocketsTooLong tries the longest paths that go, and one byte more.
func TestSocketsTooLong(t *testing.T) {
	long := func(prefix string, n int) string { return prefix + strings.Repeat("x", n-len(prefix)) }
	for _, test := range []struct {
		name string
		flag string
		// longest is the longest value that goes.
		longest int
		says    string
	}{
		{"kubelet's root directory", "--kubelet-dir=/", socket.MaxPath - len("/plugins_registry/csi.hostdir.io-reg.sock"), "kubeletDir"},
		{"with a long name of the driver", "--driver-name=" + strings.Repeat("d", 63) + " --kubelet-dir=/",
			socket.MaxPath - len("/plugins_registry/-reg.sock") - 63, "kubeletDir"},
		{"with a long name of the socket", "--endpoint=unix:///" + strings.Repeat("s", 60) + " --kubelet-dir=/",
			socket.MaxPath - len("/plugins/csi.hostdir.io/") - 60, "kubeletDir"},
		{"the endpoint", "--kubelet-dir=/k --endpoint=unix:///", len("unix://") + socket.MaxPath - len("/plugins/csi.hostdir.io") - len("/k"), "the kernel"},
		{"the directory of the endpoint", "--endpoint=unix:///csi/csi.sock --registration-dir=/", socket.MaxPath - len("/csi.hostdir.io-reg.sock"), "--registration-dir"},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := strings.Fields(test.flag)
			last := args[len(args)-1]
			flag, prefix, _ := strings.Cut(last, "=")
			for _, over := range []int{0, 1, 200} {
				args[len(args)-1] = flag + "=" + long(prefix, test.longest+over)
				_, err := parse(t, append([]string{"--node-name=node-1"}, args...)...)
				switch {
				case over == 0 && err != nil:
					t.Errorf("%q: %v", args, err)
				case over > 0 && (err == nil || !strings.Contains(err.Error(), test.says)):
					t.Errorf("%q: error %v, want one that says %q", args, err, test.says)
				}
			}
		})
	}
}

const tail = "/pods/6a1f7c1e-8d4e-4c55-9d3c-1d2c6d3c7d01/volumes/kubernetes.io~csi/pvc-a/mount"

// TestKubeletDirMoves runs the program with kubelet's root directory at one path,
// then at another, as somebody does who corrects kubeletDir while pods run.
func TestKubeletDirMoves(t *testing.T) {
	p := layOut(t)
	old, link := p.KubeletDir, filepath.Join(filepath.Dir(p.KubeletDir), "link")
	if err := os.Symlink(old, link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.UnmountBelow(t, old) })
	if err := os.MkdirAll(filepath.Dir(old+tail), 0o755); err != nil {
		t.Fatal(err)
	}
	p.KubeletDir = link
	p.Run(t)
	id := createVolume(t, p, "a").GetVolumeId()
	ctx, client := plugin.Context(t), plugin.NewClient(p.Conn)
	plugin.WantCode(t, "publish through the link", client.Publish(ctx, id, link+tail), codes.OK)
	if got := len(disk.MountsBelow(t, old)); got != 1 {
		t.Errorf("%d mounts, want 1", got)
	}
	err := client.Publish(ctx, id, old+tail)
	plugin.WantCode(t, "publish below another root", err, codes.InvalidArgument)
	if !strings.Contains(err.Error(), "kubelet's root directory is "+old) || !strings.Contains(err.Error(), "kubeletDir") {
		t.Errorf("the error does not say what to set: %v", err)
	}

	p.Signal(t, syscall.SIGTERM)
	p.KubeletDir = filepath.Join(filepath.Dir(old), "new")
	if err := os.Mkdir(p.KubeletDir, 0o755); err != nil {
		t.Fatal(err)
	}
	p.Run(t)
	client = plugin.NewClient(p.Conn)
	for range 2 {
		plugin.WantCode(t, "unpublish below the old root", client.Unpublish(ctx, id, link+tail), codes.OK)
		if got := disk.MountsBelow(t, old); len(got) > 0 {
			t.Errorf("still mounted: %q", got)
		}
	}
	plugin.WantCode(t, "delete", client.Delete(ctx, id), codes.OK)
}
