package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/hostdir/hostdir/tests/peers/report"
)

const (
	hostdir   = "hostdir"
	bare      = "bare"
	localPath = "local-path-provisioner"
	emptyDir  = "emptyDir"
)

// A section is a table of what was measured in some parts of the report.
type section struct {
	title, text string
	parts       []string
	// whats begin what is in the table; without one it is all of the parts.
	whats []string
	sides []string
	// ratio is the side by whose value that of the first is divided, if any.
	ratio string
	of    string // what a value's n counts
	plots []string
}

var sections = []section{
	{
		title: "StatefulSets", parts: []string{"cluster", "large"}, of: "replicas",
		text: "Medians, in brackets the least and the most of all runs. *Claim until Bound* is the median of a StatefulSet's claims, " +
			"from the moment each appears.",
		whats: []string{"claim until", "all claims", "all replicas", "all gone", "volumes gone"},
		sides: []string{hostdir, localPath, emptyDir}, ratio: localPath, plots: []string{"bench-bound.svg", "bench-ready.svg", "bench-gone.svg"},
	},
	{
		title: "Where a replica's time goes", parts: []string{"cluster"},
		whats: []string{"one replica"}, sides: []string{hostdir, localPath, emptyDir},
	},
	{
		title: "Who works until thirty replicas are ready", parts: []string{"cluster"},
		text:  "Seconds of the two processors, by program, from the StatefulSet's creation until all its pods are ready.",
		whats: []string{"CPU until ready: "}, sides: []string{hostdir, emptyDir}, ratio: emptyDir,
	},
	{
		title: "Where a deletion's time goes", parts: []string{"cluster"}, of: "replicas",
		text: "From the deletion of a StatefulSet with its claims. hostdir deletes no volume that is mounted; kubelet unmounts it " +
			"when it has ended the containers of its pod.",
		whats: []string{"gone: "}, sides: []string{hostdir},
	},
	{
		title: "What Kubernetes' binder lets through", parts: []string{"binder-20", "binder-200"}, of: "replicas",
		whats: []string{"claim until", "all replicas", "all gone"}, sides: []string{"with fast binding", "without fast binding"}, ratio: "without fast binding",
		plots: []string{"bench-binder.svg"},
	},
	{
		title: "What it costs the cluster", parts: []string{"cluster", "large"}, of: "replicas",
		text: "From the StatefulSet's creation until all is gone, beyond what the cluster does when nobody asks for anything, " +
			"divided by the replicas. It includes the pod itself: emptyDir has only that. CPU is that of the control plane, both " +
			"nodes and all that runs there, local-path-provisioner and its helper pods included.",
		whats: []string{"requests to the API server a replica", "writes among them", "CPU of the whole cluster a replica"},
		sides: []string{hostdir, localPath, emptyDir}, ratio: localPath,
	},
	{
		title: "What is installed", parts: []string{"cluster", "large"},
		text:  "After the runs with up to 30 replicas. Memory is that of the processes (RSS); what of it is no file is theirs alone.",
		whats: []string{"memory of", "memory that is no file of", "CPU in an idle minute of", "requests a minute", "CPU a minute"},
		sides: []string{hostdir, localPath, "everything"},
	},
	{
		title: "Calls on the socket", parts: []string{"calls"}, of: "volumes",
		text: "Medians of a hundred, in brackets the 5th and the 95th percentile, on XFS in an image. *Bare* are the system calls that " +
			"cannot be left out, without a socket and without asking whether it is right. *GetPluginInfo* is the socket alone.",
		sides: []string{hostdir, bare}, ratio: bare, plots: []string{"bench-calls.svg"},
	},
	{title: "A million files", parts: []string{"files"}, sides: []string{hostdir, bare}, of: "files"},
	{
		title: "Snapshots of 10 GiB", parts: []string{"copies"}, sides: []string{hostdir, bare}, ratio: bare,
		text: "One file, on filesystems that share blocks. *Bare* is `cp --reflink=always`, which syncs nothing.",
	},
	{
		title: "Reading and writing", parts: []string{"reading"}, sides: []string{hostdir, bare, "ratio"},
		text: "fio through the mount that a pod gets, and in the bare directory, in turn. *Ratio* is the median of each round's.",
	},
}

// measured is all that the page shows of a report.
func measured(r report.Report, images string) string {
	var page strings.Builder
	m := r.Machine
	fmt.Fprintf(&page, "Measured on %d x %s, %d GB, Linux %s, %s, by `make bench-peers`:", m.Processors, m.Processor, m.MemoryGB, m.Kernel, m.Go)
	for i, name := range slices.Sorted(maps.Keys(r.Parts)) {
		p := r.Parts[name]
		if i > 0 {
			page.WriteString(",")
		}
		fmt.Fprintf(&page, "\n%s %s (%s)", name, p.Measured.Format("2006-01-02 15:04"), p.Version)
	}
	page.WriteString(".\nEverything is in [benchmarks.json](benchmarks.json).\n\n## The budgets\n\n")
	page.WriteString(budgetTable(r))
	for _, s := range sections {
		rows := s.rows(r)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(&page, "\n## %s\n\n", s.title)
		if s.text != "" {
			page.WriteString(s.text + "\n\n")
		}
		writeTable(&page, rows)
		for _, name := range s.plots {
			for _, p := range plots {
				if p.file == name && p.draw(r) != "" {
					fmt.Fprintf(&page, "\n![%s](%s/%s)\n", p.title, images, name)
				}
			}
		}
	}
	return page.String()
}

// rows are a table with its head, or nothing if nothing was measured.
func (s section) rows(r report.Report) [][]string {
	type row struct {
		what string
		n    int
	}
	var order []row
	values := map[row]map[string]report.Value{}
	for _, part := range s.parts {
		for _, v := range r.Parts[part].Values {
			if len(s.whats) > 0 && !slices.ContainsFunc(s.whats, func(what string) bool { return strings.HasPrefix(v.What, what) }) {
				continue
			}
			at := row{v.What, v.N}
			if values[at] == nil {
				values[at] = map[string]report.Value{}
				order = append(order, at)
			}
			values[at][v.Side] = v
		}
	}
	if len(order) == 0 {
		return nil
	}
	head := []string{""}
	if s.of != "" {
		head = append(head, s.of)
	}
	head = append(head, s.sides...)
	if s.ratio != "" {
		head = append(head, s.sides[0]+" : "+s.ratio)
	}
	// What was measured of the same thing stands together.
	first := map[string]int{}
	for i, at := range slices.Backward(order) {
		first[at.what] = i
	}
	slices.SortStableFunc(order, func(a, b row) int { return first[a.what] - first[b.what] })
	rows := [][]string{head}
	for _, at := range order {
		cells := []string{at.what}
		if s.of != "" {
			n := ""
			if at.n > 0 {
				n = thousands(at.n)
			}
			cells = append(cells, n)
		}
		for _, side := range s.sides {
			cell := ""
			if v, measured := values[at][side]; measured {
				cell = summary(v)
			}
			cells = append(cells, cell)
		}
		if s.ratio != "" {
			ratio := ""
			one, hasOne := values[at][s.sides[0]]
			other, hasOther := values[at][s.ratio]
			if hasOne && hasOther && other.Median > 0 {
				ratio = number(one.Median / other.Median)
			}
			cells = append(cells, ratio)
		}
		rows = append(rows, cells)
	}
	return rows
}

func writeTable(page *strings.Builder, rows [][]string) {
	for i, cells := range rows {
		page.WriteString("| " + strings.Join(cells, " | ") + " |\n")
		if i == 0 {
			page.WriteString("|" + strings.Repeat("---|", len(cells)) + "\n")
		}
	}
}

// summary is a value with its spread, in a unit that reads well.
func summary(v report.Value) string {
	scale, unit := scaled(v.Median, v.Unit)
	text := strings.TrimSpace(number(v.Median*scale) + " " + unit)
	if v.Runs > 1 {
		text += fmt.Sprintf(" (%s to %s)", number(v.Low*scale), number(v.High*scale))
	}
	return text
}

func scaled(value float64, unit string) (scale float64, scaled string) {
	switch {
	case unit == "s" && value < 1e-3:
		return 1e6, "µs"
	case unit == "s" && value < 1:
		return 1e3, "ms"
	case unit == "requests":
		return 1, ""
	}
	return 1, unit
}

// number writes two or three digits that count, and never an exponent.
func number(value float64) string {
	digits := 2
	if size := math.Abs(value); size >= 1 {
		digits = max(0, 2-int(math.Log10(size)))
	}
	if math.Abs(value) >= 1000 {
		return thousands(int(math.Round(value)))
	}
	return fmt.Sprintf("%.*f", digits, value)
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return thousands(n/1000) + fmt.Sprintf(",%03d", n%1000)
}
