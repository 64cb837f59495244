package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/store"
)

// open opens a store with a pool in a new directory, which holds n volumes.
func open(b *testing.B, n int) (*store.Store, string) {
	b.Helper()
	s, config := openIn(b, b.TempDir())
	for i := range n {
		create(b, s, fmt.Sprintf("old-%d", i))
	}
	return s, config
}

// openIn opens a store with a pool below a directory.
func openIn(b *testing.B, dir string) (*store.Store, string) {
	b.Helper()
	config := filepath.Join(b.TempDir(), "config.yaml")
	pool := filepath.Join(dir, "pool")
	if err := os.Mkdir(pool, 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, "pools: [{name: default, paths: [%q], overcommit: 1000}]", pool), 0o600); err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(context.Background(), "node", config, "")
	if err != nil {
		b.Fatal(err)
	}
	s.Look(context.Background())
	return s, config
}

func create(b *testing.B, s *store.Store, name string) store.Volume {
	b.Helper()
	return createWith(b, s, name, config.QuotaAuto)
}

func createWith(b *testing.B, s *store.Store, name string, quota config.QuotaPolicy) store.Volume {
	b.Helper()
	class, err := config.ParseClass(map[string]string{"quota": string(quota)})
	if err != nil {
		b.Fatal(err)
	}
	v, err := s.Create(context.Background(), store.CreateRequest{
		Name:          name,
		RequiredBytes: 1 << 20,
		Class:         class,
		Claim:         store.Claim{Namespace: "default", Name: "claim-" + name},
	})
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// BenchmarkCreate makes a volume, among few and among many.
func BenchmarkCreate(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("volumes=%d", n), func(b *testing.B) {
			s, _ := open(b, n)
			i := 0
			for b.Loop() {
				create(b, s, fmt.Sprintf("new-%d", i))
				i++
			}
		})
	}
}

// BenchmarkCreateFloor does the least that a durable create can be.
func BenchmarkCreateFloor(b *testing.B) {
	dir := b.TempDir()
	parent, err := os.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer parent.Close()
	i := 0
	for b.Loop() {
		i++
		if err := createDurably(parent, fmt.Sprint(i)); err != nil {
			b.Fatal(err)
		}
	}
}

// createDurably makes a directory with a record in it: mkdir, write, fsync, rename, fsync
// of the parent.
func createDurably(parent *os.File, name string) error {
	building := filepath.Join(parent.Name(), ".new-"+name)
	if err := os.Mkdir(building, 0o700); err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(building, "record"), make([]byte, 512)); err != nil {
		return err
	}
	if err := os.Rename(building, filepath.Join(parent.Name(), name)); err != nil {
		return err
	}
	return parent.Sync()
}

func writeSynced(file string, content []byte) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// BenchmarkOpen starts the store on a disk with many volumes.
func BenchmarkOpen(b *testing.B) {
	_, config := open(b, 10_000)
	for b.Loop() {
		s, err := store.Open(context.Background(), "node", config, "")
		if err != nil {
			b.Fatal(err)
		}
		s.Look(context.Background())
	}
}

// BenchmarkCheck checks a disk with many sound volumes.
func BenchmarkCheck(b *testing.B) {
	s, _ := open(b, 10_000)
	nothingMounted := func(*os.File) ([]dir.Mount, error) { return nil, nil }
	for b.Loop() {
		report, err := s.Check(context.Background(), nothingMounted)
		if err != nil || report.Volumes != 10_000 || len(report.Findings) > 0 {
			b.Fatalf("%+v, %v", report, err)
		}
	}
}

// BenchmarkCapacity asks for the room of a pool, with few and with many volumes.
func BenchmarkCapacity(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("volumes=%d", n), func(b *testing.B) {
			s, _ := open(b, n)
			for b.Loop() {
				if s.Capacity(config.Class{Pool: config.DefaultPool}).AvailableBytes == 0 {
					b.Fatal("no room")
				}
			}
		})
	}
}
