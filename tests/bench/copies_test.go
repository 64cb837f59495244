package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/peers/report"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestReportCopies makes snapshots of a volume with one file of 10 GiB, and volumes of
// them, beside what cp needs for the same file, and does not sync.
func TestReportCopies(t *testing.T) {
	reporting(t)
	const rounds = 5
	var values []report.Value
	for _, filesystem := range []string{"xfs", "btrfs"} {
		t.Run(filesystem, func(t *testing.T) {
			p, beside := layOut(t, disk.Mount(t, filesystem, 256<<30)) // hostdir counts each copy in full
			p.Run(t)
			c := plugin.NewClient(p.Conn)
			id, err := c.Create(t.Context(), "volume", volumeBytes)
			if err != nil {
				t.Fatal(err)
			}
			data := filepath.Join(p.VolumeDir(id), "data")
			oneFile(t, data)
			disk.Sync(t, p.Base)
			if err := os.Mkdir(beside, 0o700); err != nil {
				t.Fatal(err)
			}
			var snapshots, restores, copies []time.Duration
			for i := range rounds {
				var snapshot *csi.Snapshot
				snapshots = append(snapshots, timed(t, "CreateSnapshot", func() error {
					for !snapshot.GetReadyToUse() { // one that is not ready is asked for again
						resp, err := c.CreateSnapshot(t.Context(), &csi.CreateSnapshotRequest{
							Name: fmt.Sprintf("snapshot-%d", i), SourceVolumeId: id, Parameters: map[string]string{"copy": "never"},
						})
						if err != nil {
							return err
						}
						snapshot = resp.GetSnapshot()
					}
					return nil
				}))
				restores = append(restores, timed(t, "CreateVolume of the snapshot", func() error {
					create := plugin.GoodCreate(fmt.Sprintf("restored-%d", i), volumeBytes)
					create.CapacityRange.RequiredBytes = snapshot.GetSizeBytes()
					create.VolumeContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
						Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: snapshot.GetSnapshotId()},
					}}
					_, err := c.CreateVolume(t.Context(), create)
					return err
				}))
				copies = append(copies, timed(t, "cp", func() error {
					out, err := exec.Command("cp", "--reflink=always", "-a", data, filepath.Join(beside, fmt.Sprint(i))).CombinedOutput()
					if err != nil {
						err = fmt.Errorf("%w: %s", err, out)
					}
					return err
				}))
			}
			values = append(values,
				report.Seconds("snapshot of 10 GiB on "+filesystem, hostdir, 0, snapshots...),
				report.Seconds("snapshot of 10 GiB on "+filesystem, bare, 0, copies...),
				report.Seconds("volume of a snapshot of 10 GiB on "+filesystem, hostdir, 0, restores...),
				report.Seconds("volume of a snapshot of 10 GiB on "+filesystem, bare, 0, copies...))
		})
	}
	if !t.Failed() {
		add(t, "copies", values)
	}
}
