package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
	"github.com/hostdir/hostdir/tests/powercut/drive"
)

// aside marks the process that has mounts of its own: no other one keeps a drive in use by
// beginning with a copy of all mounts.
const aside = "POWERCUT_ASIDE"

// TestCopyPowerCut cuts the power at any time of a copy: what says that it need not be
// copied again is on the disk to the byte, and a second copy makes it whole.
func TestCopyPowerCut(t *testing.T) {
	plugin.RequireRoot(t)
	if os.Getenv(aside) == "" {
		again := exec.Command("unshare", "--mount", "--propagation", "private", os.Args[0], "-test.run=^TestCopyPowerCut$", "-test.v")
		again.Env = append(os.Environ(), aside+"=1")
		if out, err := again.CombinedOutput(); err != nil {
			t.Errorf("with mounts of its own: %v\n%s", err, out)
		}
		return
	}
	withCheckpoints(t, 10)
	const files, cuts = 120, 20
	for filesystem, size := range map[string]int64{"ext4": 64 << 20, "xfs": 300 << 20} {
		t.Run(filesystem, func(t *testing.T) {
			luck := rand.New(rand.NewPCG(1, 2))
			from := t.TempDir()
			for i := range files {
				path := filepath.Join(from, fmt.Sprint("dir-", i%7), fmt.Sprint(i))
				content := bytes.Repeat([]byte{byte(i), 'c'}, 1+luck.IntN(30_000))
				must(t, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600))
			}
			content, err := drive.Read(disk.Image(t, filesystem, size))
			must(t, err)
			var log *drive.Log
			begin, kept := 0, 0
			t.Run("copy", func(t *testing.T) { // and unmount
				d := drive.Start(t, content, 4096)
				mounted := t.TempDir()
				disk.MountImage(t, d.Path, mounted)
				to := filepath.Join(mounted, "to")
				must(t, os.Mkdir(to, 0o700), open(t, mounted).Sync())
				begin = d.Position()
				_, err := Copy(t.Context(), open(t, from), open(t, to), new(Watch), Options{})
				must(t, err)
				log = d.Log()
			})
			for range cuts {
				position := begin + luck.IntN(log.End()-begin+1)
				image, loss := log.Cut(position, luck)
				t.Run(fmt.Sprint(position), func(t *testing.T) {
					t.Log(loss)
					mounted := t.TempDir()
					disk.MountImage(t, drive.Start(t, image, 4096).Path, mounted)
					to := filepath.Join(mounted, "to")
					kept += wantWhole(t, from, to)
					_, err := Copy(t.Context(), open(t, from), open(t, to), new(Watch), Options{})
					must(t, err, Compare(t.Context(), open(t, from), open(t, to), new(Watch)))
				})
			}
			if kept < cuts {
				t.Errorf("%d files were there after %d cuts", kept, cuts)
			}
		})
	}
}

// wantWhole reads what the copy has of files that need not be copied again, and returns
// how many these are.
func wantWhole(t *testing.T, from, to string) (files int) {
	t.Helper()
	must(t, filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, _ := filepath.Rel(from, path)
		var original, copied unix.Stat_t
		if must(t, unix.Lstat(path, &original)); unix.Lstat(filepath.Join(to, name), &copied) != nil || !sameContent(original, copied) {
			return nil
		}
		files++
		want, err := os.ReadFile(path)
		must(t, err)
		got, err := os.ReadFile(filepath.Join(to, name))
		if must(t, err); !bytes.Equal(got, want) {
			t.Errorf("%s has its time, and not its content", name)
		}
		return nil
	}))
	return files
}
