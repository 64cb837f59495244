package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/tests/peers/report"
)

func measuredOnce() report.Report {
	return report.Report{
		Machine: report.Machine{Processor: "a <processor>", Processors: 2},
		Parts: map[string]report.Part{
			"cluster": {Values: []report.Value{
				report.Of("claim until Bound", hostdir, 1, "s", 0.05),
				report.Of("claim until Bound", localPath, 1, "s", 2, 3, 4),
				report.Of("all replicas until ready", emptyDir, 1, "s", 1),
				report.Of("all replicas until ready", hostdir, 30, "s", 13),
				report.Of("all replicas until ready", emptyDir, 30, "s", 8),
			}},
			"reading": {Values: []report.Value{report.Of("random reads of 4 KiB from the disk", "ratio", 0, "", 0.995)}},
		},
	}
}

func TestPage(t *testing.T) {
	dir := t.TempDir()
	file, page := filepath.Join(dir, "report.json"), filepath.Join(dir, "page.md")
	if err := report.Add(file, "cluster", measuredOnce().Parts["cluster"].Values); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(page, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		t.Helper()
		if err := run([]string{file, page, dir}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := read()
	if !strings.HasPrefix(first, "before\n"+begin) || !strings.HasSuffix(first, end+"after\n") || strings.Contains(first, "old\n") {
		t.Errorf("what is not between the markers has changed, or what is between them has not:\n%s", first)
	}
	if second := read(); second != first {
		t.Errorf("the same report makes another page:\n%s\n---\n%s", first, second)
	}
	if _, err := os.Stat(filepath.Join(dir, "bench-bound.svg")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "bench-calls.svg")); err == nil {
		t.Error("there is a plot of what was not measured")
	}
	if err := os.WriteFile(page, []byte("no markers\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{file, page, dir}); err == nil {
		t.Error("a page without markers was written")
	}
}

func TestMeasured(t *testing.T) {
	text := measured(measuredOnce(), "../images")
	for _, want := range []string{
		"| claim until Bound | 1 | 50.0 ms | 3.00 s (2.00 to 4.00) |  | 0.02 |",
		"| a claim until Bound | 60.0 ms | 50.0 ms | met |",
		"| 30 replicas ready, against emptyDir | 1.30 x | 1.62 x | **missed** |",
		"| random reads from the disk through the mount, against the bare directory | at least 0.99 x | 0.99 x | met |",
		"| DeleteVolume of 1,000,000 files | 50.0 ms | not measured |  |",
		"(../images/bench-bound.svg)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
}

// TestBudgetsAndPlotsAreMeasured guards against names that no benchmark measures.
func TestBudgetsAndPlotsAreMeasured(t *testing.T) {
	r, err := report.Read("../../docs/explanation/benchmarks.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range budgets {
		if _, found := b.measured(r); !found {
			t.Errorf("nothing measures what the budget %q is for: %+v", b.line, b.value)
		}
	}
	for _, p := range plots {
		for _, row := range p.rows {
			if _, found := r.Find(row.what, p.sides[0], row.n); !found {
				t.Errorf("%s: nothing measures %+v", p.file, row)
			}
		}
	}
}

// TestPageIsOfReport holds the page and its plots to the report beside it.
func TestPageIsOfReport(t *testing.T) {
	r, err := report.Read("../../docs/explanation/benchmarks.json")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/explanation/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	if written, err := between(string(page), measured(r, "../images")); err != nil || written != string(page) {
		t.Errorf("the page is not of its report (%v): run PARTS=page tests/peers/run peers", err)
	}
	for _, p := range plots {
		drawn, err := os.ReadFile(filepath.Join("../../docs/images", p.file))
		if svg := p.draw(r); svg != "" && (err != nil || svg != string(drawn)) {
			t.Errorf("docs/images/%s is not of the report (%v)", p.file, err)
		}
	}
}

func TestPlotsAreWellFormed(t *testing.T) {
	for _, p := range plots {
		svg := p.draw(measuredOnce())
		for decoder := xml.NewDecoder(strings.NewReader(svg)); ; {
			if _, err := decoder.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", p.file, err, svg)
			}
		}
	}
}

func TestNumber(t *testing.T) {
	for value, want := range map[float64]string{0: "0.00", 0.056: "0.06", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 999.6: "1000", 1234567: "1,234,567"} {
		if got := number(value); got != want {
			t.Errorf("%v is written %s, want %s", value, got, want)
		}
	}
}
