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

// TestPoolOrders mounts an empty disk in place of a pool's, and then the disk of
// another node, and says that each is right.
func TestPoolOrders(t *testing.T) {
	plugin.RequireRoot(t)
	base := t.TempDir()
	disk.MountImage(t, disk.Image(t, "ext4", 16*mebibyte), base)
	t.Setenv("GORACE", "atexit_sleep_ms=0")

	p := plugin.Layout(t, base)
	p.Expect("BaseUnusable") // its disk is gone in the end
	p.Run(t)
	createVolume(t, p, "a")

	swap(t, base, disk.Image(t, "ext4", 16*mebibyte))
	for _, say := range []string{"", "n\n", "perhaps\n"} {
		wantAnswer(t, p, say, []string{"pools", "init", base}, 1, "was:  pool ", "now:  an empty directory on ext4", "A new pool is made", "Go on? [y/N]", "nothing was changed")
	}
	if names, err := filepath.Glob(filepath.Join(base, "*")); err != nil || len(names) != 1 {
		t.Errorf("the disk holds %q (%v), want only lost+found", names, err)
	}
	advice := "hostdir pools init " + base
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) { // it looks every ten seconds
		out, errs, code := ask(t, p, "pools")
		if code == 1 && strings.Contains(out, "unusable") && strings.Contains(out, advice) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("hostdir pools does not advise %q:\n%s%s", advice, out, errs)
		}
	}
	wantAnswer(t, p, "y\n", []string{"pools", "init", base}, 0, "is in use: pool ", "volumes: 0")
	wantAnswer(t, p, "", []string{"pools"}, 0, "ready")
	createVolume(t, p, "b")
	wantAnswer(t, p, "", []string{"pools", "init", base, "--yes"}, 1, "already")

	swap(t, base, disk.Image(t, "ext4", 16*mebibyte))
	stranger := plugin.Layout(t, base)
	stranger.Run(t)
	createVolume(t, stranger, "stranger")
	stranger.Signal(t, os.Interrupt)
	wantAnswer(t, p, "", []string{"pools", "accept", base}, 1, "now:  pool ", "volumes: 1", "nothing was changed")
	wantAnswer(t, p, "", []string{"pools", "accept", base, "--yes"}, 0, "is in use: pool ", "volumes: 1")
	wantAnswer(t, p, "", []string{"volumes"}, 0, "shop/stranger")
	wantAnswer(t, p, "", []string{"pools", "accept", base, "--yes"}, 1, "nothing to accept")
	if out, _, _ := ask(t, p, "volumes"); strings.Contains(out, "shop/a ") || strings.Contains(out, "shop/b ") {
		t.Errorf("volumes of other disks are shown:\n%s", out)
	}
	// It stays so.
	p.Signal(t, os.Interrupt)
	p.Run(t)
	wantAnswer(t, p, "", []string{"volumes"}, 0, "shop/stranger")
}

func TestPoolOrdersMistaken(t *testing.T) {
	p := layOut(t)
	p.Run(t)
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"pools", "init"}, 2, "PATH is missing"},
		{[]string{"pools", "accept", "--yes"}, 2, "PATH is missing"},
		{[]string{"pools", "init", "/a", "/b"}, 2, `unexpected argument "/b"`},
		{[]string{"pools", "forget", "/a"}, 2, `unexpected argument "forget"`},
		{[]string{"pools", "init", "/etc", "--yes"}, 1, `no pool of this node has the base directory "/etc"`},
		{[]string{"pools", "accept", p.Base + "/", "--yes"}, 1, "no pool of this node has the base directory"},
		{[]string{"pools", "accept", "--help"}, 0, "hostdir pools accept [flags] PATH"},
	} {
		wantAnswer(t, p, "", test.args, test.code, test.says)
	}
}

// TestCopyAccepted replaces a disk by a larger one, file by file.
func TestCopyAccepted(t *testing.T) {
	plugin.RequireRoot(t)
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	base, side := t.TempDir(), t.TempDir()
	disk.MountImage(t, disk.Image(t, "ext4", 16*mebibyte), base)
	larger := disk.Image(t, "ext4", 32*mebibyte)
	disk.MountImage(t, larger, side)
	p := plugin.Layout(t, base)
	p.Expect("BaseUnusable") // its disk is gone in the end
	p.Run(t)
	createVolume(t, p, "a")
	p.Signal(t, os.Interrupt)
	if out, err := exec.Command("cp", "-a", base+"/.", side).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	p.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q, %q]}]", base, side))
	p.Run(t)
	wantAnswer(t, p, "", []string{"pools", "accept", side, "--yes"}, 1, "in use at "+base+": unmount it first")
	if err := syscall.Unmount(side, 0); err != nil {
		t.Fatal(err)
	}
	swap(t, base, larger)
	wantAnswer(t, p, "yes\n", []string{"pools", "accept", base}, 0, "now:  a copy of pool ", "generation 1", "volumes: 1")
	wantAnswer(t, p, "", []string{"volumes"}, 1, "shop/a") // nothing is mounted at the other path
}
