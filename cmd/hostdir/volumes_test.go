package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// keepingTrash is a plugin that keeps deleted volumes for a day.
func keepingTrash(t *testing.T) *plugin.Plugin {
	t.Helper()
	p := layOut(t)
	p.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q], trashTTL: 24h}]", p.Base))
	p.Run(t)
	return p
}

// lines counts those that a command prints with this text.
func lines(text, with string) (n int) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, with) {
			n++
		}
	}
	return n
}

// TestDeleteOrphan deletes a volume that no PersistentVolume names any more, has
// the plugin killed in between, and brings it back as it was.
func TestDeleteOrphan(t *testing.T) {
	t.Parallel()
	p := keepingTrash(t)
	id := createVolume(t, p, "a").GetVolumeId()
	other := createVolume(t, p, "b").GetVolumeId()
	data := filepath.Join(p.VolumeDir(id), "data")
	if err := os.WriteFile(filepath.Join(data, "line"), []byte("precious"), 0o640); err != nil {
		t.Fatal(err)
	}
	record := filepath.Join(p.VolumeDir(id), "volume.json")
	before, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	shown, _, _ := ask(t, p, "volumes", "pv", id)

	for _, say := range []string{"", "n\n", "perhaps\n"} {
		wantAnswer(t, p, say, []string{"volumes", "delete", "shop/a"}, 1, id, "made for:  claim shop/a", "24h0m0s", "Go on? [y/N]", "nothing was changed")
	}
	if _, err := os.Stat(data); err != nil {
		t.Fatalf("the volume is gone without a yes: %v", err)
	}
	wantAnswer(t, p, "y\n", []string{"volumes", "delete", "shop/a"}, 0, "In the trash: pvc-a.")
	p.Signal(t, syscall.SIGKILL)
	p.Run(t)
	wantAnswer(t, p, "", []string{"volumes", "delete", "shop/a"}, 0, "In the trash already: pvc-a.") // nothing is asked
	if out, _, _ := ask(t, p, "volumes"); strings.Contains(out, "shop/a") || !strings.Contains(out, "shop/b") {
		t.Errorf("after the deletion of one there are\n%s", out)
	}
	if _, err := os.Lstat(filepath.Join(p.Base, "claims", "shop", "a")); !os.IsNotExist(err) {
		t.Errorf("the link of the deleted volume stays: %v", err)
	}

	back, errs, code := ask(t, p, "undelete", id)
	if diff := cmp.Diff(shown, back); code != 0 || diff != "" {
		t.Errorf("undelete ends with %d; its PersistentVolume is another than that of the live volume (-live +undeleted):\n%s%s", code, diff, errs)
	}
	after, err := os.ReadFile(record)
	if diff := cmp.Diff(string(before), string(after)); diff != "" || err != nil {
		t.Errorf("the record of the volume that is back (-was +is):\n%s%v", diff, err)
	}
	if line, err := os.ReadFile(filepath.Join(data, "line")); err != nil || string(line) != "precious" {
		t.Errorf("its file is %q: %v", line, err)
	}
	wantAnswer(t, p, "", []string{"volumes"}, 0, "shop/a", "shop/b", other[strings.Index(other, ".")+1:])
}

// TestDeleteForGood has no trash to go to, which the question says.
func TestDeleteForGood(t *testing.T) {
	t.Parallel()
	p := layOut(t)
	p.Run(t)
	id := createVolume(t, p, "a").GetVolumeId()
	wantAnswer(t, p, "", []string{"volumes", "delete", id}, 1, "for good", "nothing was changed")
	wantAnswer(t, p, "", []string{"volumes", "delete", id, "--yes"}, 0, "for good", "Being removed: "+id)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if left, err := os.ReadDir(filepath.Join(p.Base, "trash")); err == nil && len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("its files stay")
		}
	}
	wantAnswer(t, p, "", []string{"volumes", "delete", id, "--yes"}, 1, "no volume")
}

// TestDeleteRefused asks for what must not be deleted, and finds it as it was.
func TestDeleteRefused(t *testing.T) {
	t.Parallel()
	p := keepingTrash(t)
	p.Expect("Quarantined")
	client := plugin.NewClient(p.Conn)
	published, part, broken := createVolume(t, p, "published").GetVolumeId(), createVolume(t, p, "part").GetVolumeId(), createVolume(t, p, "broken").GetVolumeId()
	target, sub := filepath.Join(p.KubeletDir, "target"), filepath.Join(p.KubeletDir, "sub")
	if err := client.Publish(plugin.Context(t), published, target); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(target, syscall.MNT_DETACH) })
	inside := filepath.Join(p.VolumeDir(part), "data", "inside")
	for _, dir := range []string{inside, sub} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mount(inside, sub, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	p.Expect("UnsafeMount")
	t.Cleanup(func() { syscall.Unmount(sub, syscall.MNT_DETACH) })
	if err := os.Remove(filepath.Join(p.VolumeDir(broken), "volume.json")); err != nil {
		t.Fatal(err)
	}
	// Two volumes of one claim, as a class with Retain leaves them.
	twice := []string{createVolume(t, p, "twice").GetVolumeId()}
	twice = append(twice, createVolumeNamed(t, p, "pvc-of-another-day", "twice").GetVolumeId())

	for _, test := range []struct {
		ref  string
		says []string
	}{
		{"shop/published", []string{"in use", target}},
		{published, []string{"in use", target}},
		{"shop/part", []string{"in use", sub}},
		{broken, []string{"in quarantine"}},
		{"shop/twice", append([]string{`"shop/twice" is the name of 2 volumes`}, twice...)},
		{"shop/nobody", []string{`no volume "shop/nobody" is on this node`}},
		{"", []string{`no volume ""`}},
		{"../volumes/pvc-part", []string{"no volume"}},
	} {
		wantAnswer(t, p, "", []string{"volumes", "delete", "--yes", test.ref}, 1, test.says...)
	}
	for _, id := range append(twice, published, part, broken) {
		if _, err := os.Stat(filepath.Join(p.VolumeDir(id), "data")); err != nil {
			t.Errorf("a refused order has changed something: %v", err)
		}
	}
	// Nobody waits for a pod that goes on; once it is gone, the volume can go.
	if err := client.Unpublish(plugin.Context(t), published, target); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, p, "", []string{"volumes", "delete", "--yes", "shop/published"}, 0, "In the trash: ")
	wantAnswer(t, p, "", []string{"volumes", "delete", "--yes", twice[0]}, 0, "In the trash: ")
	if _, err := os.Stat(p.VolumeDir(twice[1])); err != nil {
		t.Errorf("the other volume of the claim: %v", err)
	}
}

// TestDeleteOnSilentDisk gets an answer in time from a disk that gives none.
func TestDeleteOnSilentDisk(t *testing.T) {
	t.Parallel()
	silent := disk.MountSilent(t)
	base := t.TempDir()
	disk.MountImage(t, disk.Image(t, "ext4", 16*mebibyte), base)
	p := plugin.Layout(t, base)
	p.Expect("DiskUnusable")
	p.Run(t)
	id := createVolume(t, p, "a").GetVolumeId()
	if err := syscall.Mount(silent, base, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(base, syscall.MNT_DETACH) })
	for _, limit := range []time.Duration{15 * time.Second, 2 * time.Second} { // to find out, and to know
		began := time.Now()
		wantAnswer(t, p, "", []string{"volumes", "delete", "--yes", "shop/a"}, 1, "disk unavailable")
		if took := time.Since(began); took > limit {
			t.Errorf("the refusal took %s, want at most %s", took, limit)
		}
	}
	began := time.Now()
	wantAnswer(t, p, "", []string{"volumes", "pv", "shop/a"}, 0, "volumeHandle: "+id)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("what the plugin has in memory took %s", took)
	}
	wantAnswer(t, p, "", []string{"volumes", "pv", "--all"}, 1, "volumeHandle: "+id, "cannot be used")
}

// TestPersistentVolumes prints those of a cluster that has lost all of them.
func TestPersistentVolumes(t *testing.T) {
	t.Parallel()
	p := keepingTrash(t)
	client := plugin.NewClient(p.Conn)
	a, b := createVolume(t, p, "a").GetVolumeId(), createVolume(t, p, "b").GetVolumeId()
	out, errs, code := ask(t, p, "volumes", "pv", "--all", "--storage-class=fast", "--access-mode=ReadWriteOncePod")
	if code != 0 || errs != "" || lines(out, "---") != 2 || lines(out, "kind: PersistentVolume\n") != 2 ||
		lines(out, "volumeHandle: "+a) != 1 || lines(out, "volumeHandle: "+b) != 1 || lines(out, "storageClassName: fast") != 2 || lines(out, "- ReadWriteOncePod") != 2 {
		t.Errorf("volumes pv --all ends with %d:\n%s%s", code, out, errs)
	}
	one, _, code := ask(t, p, "volumes", "pv", "shop/a", "--storage-class=fast", "--access-mode=ReadWriteOncePod")
	if code != 0 || !strings.HasPrefix(out, one) || lines(one, "# This volume was made for claim shop/a.") != 1 {
		t.Errorf("of one volume it ends with %d, and prints another PersistentVolume:\n%s", code, one)
	}

	// A claim was renamed, or bound by hand.
	out, _, code = ask(t, p, "volumes", "pv", "shop/a", "--claim=store/renamed")
	if code != 0 || lines(out, "# This volume was made for claim shop/a, and is reserved for another one.") != 1 || lines(out, "name: renamed") != 1 || lines(out, "namespace: store") != 1 {
		t.Errorf("for another claim it ends with %d:\n%s", code, out)
	}

	// Nobody has said for which claim this one is.
	nameless, err := client.Create(plugin.Context(t), "pvc-nameless", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	out, errs, code = ask(t, p, "volumes", "pv", "--all")
	if code != 1 || lines(out, "---") != 2 || strings.Contains(out, nameless) || !strings.Contains(errs, "Left out: volume "+nameless) || !strings.Contains(errs, "volumes left out: 1") {
		t.Errorf("with a volume of no known claim volumes pv --all ends with %d:\n%s%s", code, out, errs)
	}
	out, errs, code = ask(t, p, "volumes", "pv", nameless)
	if code != 1 || out != "" || !strings.Contains(errs, "--claim NAMESPACE/NAME") {
		t.Errorf("of that volume it ends with %d:\n%s%s", code, out, errs)
	}
	wantAnswer(t, p, "", []string{"volumes", "pv", nameless, "--claim=shop/c"}, 0, "claimRef", "name: c", "It is not known which claim")

	// It is the same for one that comes back.
	wantAnswer(t, p, "", []string{"volumes", "delete", "--yes", nameless}, 0, "In the trash")
	out, errs, code = ask(t, p, "undelete", nameless)
	if code != 1 || out != "" || !strings.Contains(errs, "is back at ") || !strings.Contains(errs, "hostdir volumes pv "+nameless+" --claim") {
		t.Errorf("undelete of a volume of no known claim ends with %d:\n%s%s", code, out, errs)
	}
	wantAnswer(t, p, "", []string{"volumes", "delete", "--yes", "shop/a"}, 0, "In the trash")
	createVolumeNamed(t, p, "pvc-again", "a")
	wantAnswer(t, p, "", []string{"undelete", a}, 0, "Warning: claim shop/a can be bound to one volume only", ".pvc-again")
}

// createVolumeNamed makes a volume of this name for a claim.
func createVolumeNamed(t *testing.T, p *plugin.Plugin, name, claim string) *csi.Volume {
	t.Helper()
	req := plugin.GoodCreate(name, 1<<20)
	req.Parameters = map[string]string{"csi.storage.k8s.io/pvc/namespace": "shop", "csi.storage.k8s.io/pvc/name": claim}
	resp, err := plugin.NewClient(p.Conn).CreateVolume(plugin.Context(t), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetVolume()
}

func TestVolumeActionsMistaken(t *testing.T) {
	p := layOut(t) // nothing runs there
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"volumes", "delete"}, 2, "VOLUME is missing"},
		{[]string{"volumes", "delete", "a", "b"}, 2, `unexpected argument "b"`},
		{[]string{"volumes", "delete", "a", "--all"}, 2, "unknown flag"},
		{[]string{"volumes", "delete", "a", "--yes"}, 1, "does not answer"},
		{[]string{"volumes", "pv"}, 2, "VOLUME is missing; or is it --all?"},
		{[]string{"volumes", "pv", ""}, 2, "VOLUME is missing"},
		{[]string{"volumes", "pv", "a", "--all"}, 2, "either one VOLUME or --all"},
		{[]string{"volumes", "pv", "a", "b"}, 2, `unexpected argument "b"`},
		{[]string{"volumes", "pv", "--all", "--claim=shop/a"}, 2, "--claim is for one VOLUME"},
		{[]string{"volumes", "pv", "a", "--claim=a"}, 2, `"a" is not a claim as NAMESPACE/NAME`},
		{[]string{"volumes", "pv", "a", "--claim=shop/a/b"}, 2, "NAMESPACE/NAME"},
		{[]string{"undelete", "a", "--claim=Shop/a"}, 2, "NAMESPACE/NAME"},
		{[]string{"volumes", "pv", "--all"}, 1, "does not answer"},
		{[]string{"volumes", "pv", "--help"}, 0, "hostdir volumes pv [flags] [VOLUME]"},
		{[]string{"volumes", "purge", "a"}, 2, `unexpected argument "purge"`},
	} {
		wantAnswer(t, p, "", test.args, test.code, test.says)
	}
}
