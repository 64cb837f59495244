package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

const mebibyte = 1 << 20

// swap unmounts what is at a path and mounts another disk there.
func swap(t *testing.T, dir, image string) {
	t.Helper()
	for {
		err := syscall.Unmount(dir, 0)
		if err == nil {
			break
		}
		if err != syscall.EBUSY { // the plugin may look at it just now
			t.Fatal(err)
		}
	}
	disk.MountImage(t, image, dir)
}

// wantAnswer gives an order and checks the answer.
func wantAnswer(t *testing.T, p *plugin.Plugin, say string, args []string, code int, shows ...string) {
	t.Helper()
	out, errs, got := askAndSay(t, p, say, args...)
	if got != code {
		t.Errorf("%q, answered with %q, ends with %d, want %d:\n%s%s", args, say, got, code, out, errs)
	}
	for _, want := range shows {
		if !strings.Contains(out+errs, want) {
			t.Errorf("%q, answered with %q, does not tell %q:\n%s%s", args, say, want, out, errs)
		}
	}
}

// TestDiskActions mounts an empty disk in place of a disk, and then the disk of
// another node, and says that each is right.
func TestDiskActions(t *testing.T) {
	t.Parallel()
	plugin.RequireRoot(t)
	base := t.TempDir()
	disk.MountImage(t, disk.Image(t, "ext4", 16*mebibyte), base)

	p := plugin.Layout(t, base)
	p.Expect("DiskUnusable") // its disk is gone in the end
	p.Run(t)
	createVolume(t, p, "a")

	swap(t, base, disk.Image(t, "ext4", 16*mebibyte))
	for _, say := range []string{"", "n\n", "perhaps\n"} {
		wantAnswer(t, p, say, []string{"disks", "init", base}, 1, "was:  disk ", "now:  an empty directory on ext4", "A new disk is made", "Go on? [y/N]", "nothing was changed")
	}
	if names, err := filepath.Glob(filepath.Join(base, "*")); err != nil || len(names) != 1 {
		t.Errorf("the disk holds %q (%v), want only lost+found", names, err)
	}
	advice := "hostdir disks init " + base
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) { // it looks every ten seconds
		out, errs, code := ask(t, p, "disks")
		if code == 1 && strings.Contains(out, "unusable") && strings.Contains(out, advice) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("hostdir disks does not advise %q:\n%s%s", advice, out, errs)
		}
	}
	wantAnswer(t, p, "y\n", []string{"disks", "init", base}, 0, "is in use: disk ", "volumes: 0")
	wantAnswer(t, p, "", []string{"disks"}, 0, "ready")
	createVolume(t, p, "b")
	wantAnswer(t, p, "", []string{"disks", "init", base, "--yes"}, 1, "already")

	swap(t, base, disk.Image(t, "ext4", 16*mebibyte))
	stranger := plugin.Layout(t, base)
	stranger.Run(t)
	createVolume(t, stranger, "stranger")
	stranger.Signal(t, os.Interrupt)
	wantAnswer(t, p, "", []string{"disks", "accept", base}, 1, "now:  disk ", "volumes: 1", "nothing was changed")
	wantAnswer(t, p, "", []string{"disks", "accept", base, "--yes"}, 0, "is in use: disk ", "volumes: 1")
	wantAnswer(t, p, "", []string{"volumes"}, 0, "shop/stranger")
	wantAnswer(t, p, "", []string{"disks", "accept", base, "--yes"}, 1, "nothing to accept")
	if out, _, _ := ask(t, p, "volumes"); strings.Contains(out, "shop/a ") || strings.Contains(out, "shop/b ") {
		t.Errorf("volumes of other disks are shown:\n%s", out)
	}
	// It stays so.
	p.Signal(t, os.Interrupt)
	p.Run(t)
	wantAnswer(t, p, "", []string{"volumes"}, 0, "shop/stranger")
}

func TestDiskActionsMistaken(t *testing.T) {
	p := layOut(t)
	p.Run(t)
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"disks", "init"}, 2, "PATH is missing"},
		{[]string{"disks", "accept", "--yes"}, 2, "PATH is missing"},
		{[]string{"disks", "init", "/a", "/b"}, 2, `unexpected argument "/b"`},
		{[]string{"disks", "forget", "/a"}, 2, `unexpected argument "forget"`},
		{[]string{"disks", "init", "/etc", "--yes"}, 1, `no pool of this node has the disk "/etc"`},
		{[]string{"disks", "accept", p.Base + "/", "--yes"}, 1, "no pool of this node has the disk"},
		{[]string{"disks", "accept", "--help"}, 0, "hostdir disks accept [flags] PATH"},
	} {
		wantAnswer(t, p, "", test.args, test.code, test.says)
	}
}

// TestCopyAccepted replaces a disk by a larger one, file by file.
func TestCopyAccepted(t *testing.T) {
	plugin.RequireRoot(t)
	base, side := t.TempDir(), t.TempDir()
	disk.MountImage(t, disk.Image(t, "ext4", 16*mebibyte), base)
	larger := disk.Image(t, "ext4", 32*mebibyte)
	disk.MountImage(t, larger, side)
	p := plugin.Layout(t, base)
	p.Expect("DiskUnusable") // its disk is gone in the end
	p.Run(t)
	createVolume(t, p, "a")
	p.Signal(t, os.Interrupt)
	if out, err := exec.Command("cp", "-a", base+"/.", side).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	p.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q, %q]}]", base, side))
	p.Run(t)
	wantAnswer(t, p, "", []string{"disks", "accept", side, "--yes"}, 1, "in use at "+base+": unmount it first")
	if err := syscall.Unmount(side, 0); err != nil {
		t.Fatal(err)
	}
	swap(t, base, larger)
	wantAnswer(t, p, "yes\n", []string{"disks", "accept", base}, 0, "now:  a copy of disk ", "generation 1", "volumes: 1")
	wantAnswer(t, p, "", []string{"volumes"}, 1, "shop/a") // nothing is mounted at the other path
}
