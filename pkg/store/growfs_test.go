package store

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestGrowFilesystem makes a disk's filesystem larger while it is in use: there is
// more room at once, and volumes stay as they are.
func TestGrowFilesystem(t *testing.T) {
	t.Parallel()
	plugin.RequireRoot(t)
	for _, test := range []struct {
		filesystem string
		grow       string
	}{
		// Not ext4: where the tests run, root may lack CAP_SYS_RESOURCE, which it takes.
		{"xfs", "xfs_growfs"},
		{"btrfs", "btrfs filesystem resize max"},
	} {
		t.Run(test.filesystem, func(t *testing.T) {
			image, dir := disk.Image(t, test.filesystem, 400*mebibyte), filepath.Join(t.TempDir(), "disk")
			mkdirAll(t, dir)
			disk.MountImage(t, image, dir)
			s := openStore(t, onePool(dir))
			v := mustCreate(t, s, request("pvc-1"))
			before := s.Capacity(defaultClass).AvailableBytes
			tooLarge := request("pvc-2")
			tooLarge.RequiredBytes = before + 100*mebibyte
			if _, err := s.Create(t.Context(), tooLarge); err == nil {
				t.Fatalf("a volume of %d bytes was made, where %d are available", tooLarge.RequiredBytes, before)
			}

			if err := os.Truncate(image, 800*mebibyte); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("findmnt", "-no", "SOURCE", dir).Output()
			if err != nil {
				t.Fatal(err)
			}
			device := strings.TrimSpace(string(out))
			for _, command := range [][]string{{"losetup", "--set-capacity", device}, append(strings.Fields(test.grow), dir)} {
				if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
					t.Fatalf("%q: %v\n%s", command, err, out)
				}
			}
			s.sampleAll()
			if grown := s.Capacity(defaultClass).AvailableBytes - before; grown < 300*mebibyte || grown > 400*mebibyte {
				t.Errorf("there is %d MiB more, want nearly 400", grown/mebibyte)
			}
			mustCreate(t, s, tooLarge)
			if again, err := s.Volume(t.Context(), v.ID); err != nil || again.CapacityBytes != v.CapacityBytes {
				t.Errorf("the volume has %d bytes (%v), it had %d", again.CapacityBytes, err, v.CapacityBytes)
			}
		})
	}
}
