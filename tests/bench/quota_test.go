package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// BenchmarkCreateQuota makes volumes on btrfs with a limit and without.
func BenchmarkCreateQuota(b *testing.B) {
	plugin.RequireRoot(b)
	for _, quota := range []config.QuotaPolicy{config.QuotaOff, config.QuotaRequired} {
		b.Run(fmt.Sprintf("quota=%s", quota), func(b *testing.B) {
			s, _ := openIn(b, disk.MountLimited(b, 4<<30))
			i := 0
			for b.Loop() {
				createWith(b, s, fmt.Sprintf("new-%d", i), quota)
				i++
			}
		})
	}
}

// BenchmarkUsage asks what a limited volume holds, one of few files and one of
// very many.
func BenchmarkUsage(b *testing.B) {
	plugin.RequireRoot(b)
	for _, files := range []int{10, 1_000_000} {
		b.Run(fmt.Sprintf("files=%d", files), func(b *testing.B) {
			s, _ := openIn(b, disk.MountLimited(b, 8<<30))
			class, err := config.ParseClass(map[string]string{"quota": "required"})
			if err != nil {
				b.Fatal(err)
			}
			v, err := s.Create(b.Context(), store.CreateRequest{Name: "full", RequiredBytes: 6 << 30, Class: class})
			if err != nil {
				b.Fatal(err)
			}
			for i := range files {
				dir := filepath.Join(v.Path, fmt.Sprint(i/1000))
				if i%1000 == 0 {
					if err := os.Mkdir(dir, 0o700); err != nil {
						b.Fatal(err)
					}
				}
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if _, err := s.Stats(b.Context(), v.ID, func(*os.File) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
