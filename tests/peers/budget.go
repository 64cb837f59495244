package main

import (
	"strings"

	"github.com/hostdir/hostdir/tests/peers/report"
)

// A measure names a value of the report.
type measure struct {
	what, side string
	n          int
}

// A budget is what something may cost, fixed before it was built.
type budget struct {
	line  string
	unit  string  // of limit; "x" is a ratio
	most  float64 // or, with least, the least
	least bool
	value measure
	by    measure // what the value is divided by, if anything
}

var budgets = []budget{
	{"hostdir's memory, idle", "MB", 15, false, measure{"memory", hostdir, 0}, measure{}},
	{"hostdir's memory, 10,000 volumes", "MB", 40, false, measure{"memory", hostdir, 10_000}, measure{}},
	{"hostdir-controller's memory, after these runs", "MB", 40, false, measure{"memory of hostdir-controller, once", hostdir, 0}, measure{}},
	{"a claim until Bound", "s", 0.06, false, measure{"claim until Bound", hostdir, 1}, measure{}},
	{"a claim until Bound (p50), 10 at once", "s", 0.3, false, measure{"claim until Bound", hostdir, 10}, measure{}},
	{"a claim until Bound (p50), 30 at once", "s", 1.2, false, measure{"claim until Bound", hostdir, 30}, measure{}},
	{"30 replicas ready, against emptyDir", "x", 1.3, false, measure{"all replicas until ready", hostdir, 30}, measure{"all replicas until ready", emptyDir, 30}},
	{"1 replica gone, with its volume", "s", 0.5, false, measure{"all gone, with their volumes", hostdir, 1}, measure{}},
	{"10 replicas gone, with their volumes", "s", 1.2, false, measure{"all gone, with their volumes", hostdir, 10}, measure{}},
	{"30 replicas gone, with their volumes", "s", 6, false, measure{"all gone, with their volumes", hostdir, 30}, measure{}},
	{"CreateVolume, against mkdir + write + fsync + rename + fsync", "x", 2, false, measure{"CreateVolume", hostdir, 10_000}, measure{"CreateVolume", bare, 10_000}},
	{"CreateVolume among 10,000 volumes, against among 10", "x", 1.2, false, measure{"CreateVolume", hostdir, 10_000}, measure{"CreateVolume", hostdir, 10}},
	{"start with 10,000 volumes, until the socket answers", "s", 0.2, false, measure{"start, until the socket answers", hostdir, 10_000}, measure{}},
	{"start with 10,000 volumes, until all are known", "s", 1, false, measure{"start, until all volumes are known", hostdir, 10_000}, measure{}},
	{"NodeGetVolumeStats", "s", 0.001, false, measure{"NodeGetVolumeStats", hostdir, 10_000}, measure{}},
	{"DeleteVolume of 1,000,000 files", "s", 0.05, false, measure{"DeleteVolume, answered", hostdir, 1_000_000}, measure{}},
	{"a snapshot of 10 GiB on XFS", "s", 0.1, false, measure{"snapshot of 10 GiB on xfs", hostdir, 0}, measure{}},
	{"a snapshot of 10 GiB on btrfs", "s", 0.1, false, measure{"snapshot of 10 GiB on btrfs", hostdir, 0}, measure{}},
	{"random reads from the disk through the mount, against the bare directory", "x", 0.99, true, measure{"random reads of 4 KiB from the disk", "ratio", 0}, measure{}},
	{"random writes likewise", "x", 0.99, true, measure{"random writes of 4 KiB to the disk", "ratio", 0}, measure{}},
	{"reads in a row likewise", "x", 0.99, true, measure{"reads of 1 MiB in a row from the disk", "ratio", 0}, measure{}},
	{"writes in a row likewise", "x", 0.99, true, measure{"writes of 1 MiB in a row to the disk", "ratio", 0}, measure{}},
	{"random reads from memory likewise", "x", 0.99, true, measure{"random reads of 4 KiB from memory", "ratio", 0}, measure{}},
}

// budgetTable says of each budget whether it was met.
func budgetTable(r report.Report) string {
	rows := [][]string{{"", "budget", "measured", ""}}
	for _, b := range budgets {
		measured, verdict := "not measured", ""
		if v, found := b.measured(r); found {
			measured = summary(v)
			met := v.Median <= b.most
			if b.least {
				met = v.Median >= b.most
			}
			verdict = map[bool]string{true: "met", false: "**missed**"}[met]
		}
		limit := summary(report.Value{Median: b.most, Unit: b.unit})
		if b.least {
			limit = "at least " + limit
		}
		rows = append(rows, []string{b.line, limit, measured, verdict})
	}
	var table strings.Builder
	writeTable(&table, rows)
	return table.String()
}

func (b budget) measured(r report.Report) (report.Value, bool) {
	v, found := r.Find(b.value.what, b.value.side, b.value.n)
	if b.unit == "x" {
		v.Unit = "x"
	}
	if b.by.what == "" {
		return v, found
	}
	by, also := r.Find(b.by.what, b.by.side, b.by.n)
	return report.Value{Median: v.Median / by.Median, Unit: b.unit, Runs: 1}, found && also && by.Median > 0
}
