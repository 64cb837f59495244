package bench

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/tests/peers/report"
	"github.com/hostdir/hostdir/tests/plugin"
)

// workloads are what pods do to their volumes, as fio says it.
var workloads = []struct {
	what, unit string
	args       []string
}{
	{"random reads of 4 KiB from the disk", "IOPS", []string{"--rw=randread", "--bs=4k", "--iodepth=16", "--direct=1"}},
	{"random writes of 4 KiB to the disk", "IOPS", []string{"--rw=randwrite", "--bs=4k", "--iodepth=16", "--direct=1"}},
	{"reads of 1 MiB in a row from the disk", "MB/s", []string{"--rw=read", "--bs=1M", "--iodepth=8", "--direct=1"}},
	{"writes of 1 MiB in a row to the disk", "MB/s", []string{"--rw=write", "--bs=1M", "--iodepth=8", "--direct=1"}},
	{"random reads of 4 KiB from memory", "IOPS", []string{"--rw=randread", "--bs=4k", "--pre_read=1"}},
}

// TestReportReading reads and writes one file through the mount of a published volume and
// in the volume's directory, in turn, on this machine's own disk.
func TestReportReading(t *testing.T) {
	reporting(t)
	const rounds = 25 // disks are noisy: the median is of many
	base := t.TempDir()
	p, _ := layOut(t, base)
	p.Run(t)
	c := plugin.NewClient(p.Conn)
	id, err := c.Create(t.Context(), "volume", volumeBytes)
	target := filepath.Join(p.KubeletDir, "pods/pod/volumes/kubernetes.io~csi/volume/mount")
	err = errors.Join(err, os.MkdirAll(filepath.Dir(target), 0o750))
	if err == nil {
		err = c.Publish(t.Context(), id, target)
	}
	if err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{hostdir: target, bare: filepath.Join(p.VolumeDir(id), "data")}
	var values []report.Value
	for _, w := range workloads {
		runs := map[string][]float64{}
		var ratios []float64
		for round := range rounds {
			sides := []string{hostdir, bare}
			if round%2 == 1 {
				sides = []string{bare, hostdir}
			}
			for _, side := range sides {
				runs[side] = append(runs[side], fio(t, dirs[side], w.unit, w.args...))
			}
			ratios = append(ratios, runs[hostdir][round]/runs[bare][round])
		}
		for _, side := range []string{hostdir, bare} {
			values = append(values, report.Of(w.what, side, 0, w.unit, runs[side]...))
		}
		values = append(values, report.Of(w.what, "ratio", 0, "", ratios...))
	}
	if err := c.Unpublish(t.Context(), id, target); err != nil {
		t.Error(err)
	}
	add(t, "reading", values)
}

// fio runs a workload for a second on a file of a directory, which it makes the first
// time, and returns how much was done a second.
func fio(t *testing.T, dir, unit string, args ...string) float64 {
	t.Helper()
	cmd := exec.Command("fio", append(args, "--name=file", "--directory="+dir, "--filename=file", "--size=512M",
		"--ioengine=libaio", "--runtime=1", "--time_based", "--output-format=json")...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("fio (Debian's package of that name): %v\n%s", err, &errs)
	}
	type work struct {
		IOPS float64 `json:"iops"`
		KiB  float64 `json:"bw"` // a second
	}
	var done struct {
		Jobs []struct{ Read, Write work }
	}
	if err := json.Unmarshal(out, &done); err != nil || len(done.Jobs) != 1 {
		t.Fatalf("fio's answer: %v\n%s", err, out)
	}
	job := done.Jobs[0]
	if unit == "IOPS" {
		return job.Read.IOPS + job.Write.IOPS
	}
	return (job.Read.KiB + job.Write.KiB) * 1024 / 1e6
}
