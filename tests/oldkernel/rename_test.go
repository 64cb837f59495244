package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/plugin"
)

const refusal = "cannot rename without replacing"

// TestRenameReplaces runs on a filesystem that may replace what is there: a new
// disk is refused with the reason, and one that was taken into use
// before, on another kernel, as well.
func TestRenameReplaces(t *testing.T) {
	plugin.RequireRoot(t)
	for _, used := range []bool{false, true} {
		t.Run(fmt.Sprintf("used before: %t", used), func(t *testing.T) {
			p := plugin.Layout(t, overlay(t))
			if used {
				p.Run(t)
				create(t, p, "pvc-1")
				p.Signal(t, os.Interrupt)
			}
			p.Through = on(t, "replacing")
			p.Run(t)
			_, err := tryCreate(plugin.Context(t), p, "pvc-2")
			if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), refusal) {
				t.Errorf("error %v, want ResourceExhausted and that the filesystem %s", err, refusal)
			}
			if used {
				wantNames(t, filepath.Join(p.Base, "volumes"), "pvc-1")
			}
			if _, err := os.Stat(filepath.Join(p.Base, "disk.json")); (err == nil) != used {
				t.Errorf("the disk was used before: %t, and its marker: %v", used, err)
			}
			p.Signal(t, os.Interrupt)
			if !strings.Contains(p.Log(), refusal) {
				t.Errorf("the log does not say that the filesystem %s:\n%s", refusal, p.Log())
			}
			p.Through = nil
			p.Run(t) // and on a better kernel it works
			create(t, p, "pvc-2")
		})
	}
}

// overlay is a filesystem of a type that hostdir tries.
func overlay(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	mount := func(kind, options string) {
		t.Helper()
		if err := unix.Mount(kind, dir, kind, 0, options); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	}
	mount("tmpfs", "size=16m")
	for _, layer := range []string{"lower", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, layer), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount("overlay", fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir))
	return dir
}
