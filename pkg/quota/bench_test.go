package quota_test

import (
	"fmt"
	"testing"

	"github.com/hostdir/hostdir/pkg/quota"
)

// The benchmarks measure what each call costs.

func BenchmarkXFS(b *testing.B)  { benchmark(b, projects(b, quota.XFS, "HOSTDIR_VM_XFS")) }
func BenchmarkExt4(b *testing.B) { benchmark(b, projects(b, quota.Ext4, "HOSTDIR_VM_EXT4")) }

func BenchmarkBtrfs(b *testing.B) {
	for name, enable := range map[string]uint64{"full": enableFull, "simple": enableSimple} {
		b.Run(name, func(b *testing.B) { benchmark(b, btrfs(b, enable)) })
	}
}

func benchmark(b *testing.B, dir string) {
	parent := open(b, dir)
	q, err := quota.Detect(parent)
	if err != nil {
		b.Fatal(err)
	}
	var id quota.ID
	made := 0
	b.Run("Create", func(b *testing.B) {
		for b.Loop() {
			made++
			if id, err = q.Create(parent, fmt.Sprintf("volume-%d", made), quota.ID(made)); err != nil {
				b.Fatal(err)
			}
		}
	})
	volume := open(b, fmt.Sprintf("%s/volume-%d", dir, made))
	limit := quota.Limit{Bytes: 8 << 20}
	for _, call := range []struct {
		name string
		call func() error
	}{
		{"Set", func() error { return q.Set(volume, id, limit) }},
		{"Get", func() error { _, _, err := q.Get(volume, id); return err }},
		{"Used", func() error { _, err := q.Used(parent, id); return err }},
		{"Detect", func() error { _, err := quota.Detect(parent); return err }},
	} {
		b.Run(call.name, func(b *testing.B) {
			for b.Loop() {
				if err := call.call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
