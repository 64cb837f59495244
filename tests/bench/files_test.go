package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/peers/report"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestReportFiles deletes a volume of a million files, beside what removes them at once.
func TestReportFiles(t *testing.T) {
	reporting(t)
	const files = 1_000_000
	p, beside := onXFS(t, 64<<30)
	p.Run(t)
	c := plugin.NewClient(p.Conn)
	id, err := c.Create(t.Context(), "full", volumeBytes)
	if err != nil {
		t.Fatal(err)
	}
	emptyFiles(t, filepath.Join(p.VolumeDir(id), "data"), files)
	began := time.Now()
	answered := timed(t, "DeleteVolume", func() error { return c.Delete(t.Context(), id) })
	plugin.WaitTrash(t, p.Base, 0, time.Hour)
	purged := time.Since(began)

	emptyFiles(t, beside, files)
	removed := timed(t, "remove the files", func() error { return os.RemoveAll(beside) })
	add(t, "files", []report.Value{
		report.Seconds("DeleteVolume, answered", hostdir, files, answered),
		report.Seconds("DeleteVolume, all removed", hostdir, files, purged),
		report.Seconds("DeleteVolume, all removed", bare, files, removed),
	})
}

// emptyFiles makes files in a directory, a thousand to a folder, as of long ago: they
// are on the disk.
func emptyFiles(t *testing.T, dir string, files int) {
	t.Helper()
	var group sync.WaitGroup
	for worker := range 2 {
		group.Go(func() {
			for folder := worker; folder < files/1000; folder += 2 {
				path := filepath.Join(dir, fmt.Sprint(folder))
				if err := os.MkdirAll(path, 0o755); err != nil {
					t.Error(err)
					return
				}
				for i := range 1000 {
					if err := os.WriteFile(filepath.Join(path, fmt.Sprint(i)), nil, 0o644); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	group.Wait()
	disk.Sync(t, dir)
	if t.Failed() {
		t.FailNow()
	}
}
