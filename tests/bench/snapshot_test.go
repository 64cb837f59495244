package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// BenchmarkSnapshot makes a snapshot, and a volume of it, of one file of 10 GiB and of
// 100,000 small files, where blocks can be shared. What cp needs for the same files, and
// does not sync, is beside it.
func BenchmarkSnapshot(b *testing.B) {
	plugin.RequireRoot(b)
	for _, filesystem := range []string{"xfs", "btrfs"} {
		for name, fill := range map[string]func(b testing.TB, dir string){"10GiB": oneFile, "100000files": manyFiles} {
			b.Run(filesystem+"/"+name, func(b *testing.B) { benchSnapshot(b, filesystem, fill) })
		}
	}
}

func benchSnapshot(b *testing.B, filesystem string, fill func(b testing.TB, dir string)) {
	mounted := disk.Mount(b, filesystem, 64<<30)
	s, _ := openIn(b, mounted)
	v := create(b, s, "volume")
	fill(b, v.Path)
	disk.Sync(b, mounted)
	nobody := func(*os.File) error { return nil }
	class, err := config.ParseSnapshotClass(map[string]string{"copy": "never"})
	if err != nil {
		b.Fatal(err)
	}
	var made store.Snapshot
	b.Run("snapshot", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			name := fmt.Sprintf("snapshot-%d-%d", b.N, i)
			for made.Ready = false; !made.Ready; {
				made, err = s.CreateSnapshot(b.Context(), store.SnapshotRequest{Name: name, Source: v.ID, Class: class}, nobody)
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("restore", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			_, err := s.Create(b.Context(), store.CreateRequest{Name: fmt.Sprintf("restored-%d-%d", b.N, i), Class: v.Class, Source: made.ID})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cp", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			out, err := exec.Command("cp", "--reflink=always", "-a", v.Path, filepath.Join(mounted, fmt.Sprintf("cp-%d-%d", b.N, i))).CombinedOutput()
			if err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
		}
	})
}

func oneFile(b testing.TB, dir string) {
	f, err := os.Create(dir + "/file")
	if err == nil {
		err = unix.Fallocate(int(f.Fd()), 0, 0, 10<<30)
		f.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
}

func manyFiles(b testing.TB, dir string) {
	for i := range 100_000 {
		name := fmt.Sprintf("%s/%d/%d", dir, i/1000, i)
		if i%1000 == 0 {
			if err := os.Mkdir(filepath.Dir(name), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(name, []byte("some content of a small file\n"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
}
