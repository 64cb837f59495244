// Package report keeps what benchmarks have measured in one file of JSON, to which each
// part of a run adds its own. Command peers makes tables and plots of it.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A Report is what is in the file.
type Report struct {
	Machine Machine         `json:"machine"`
	Parts   map[string]Part `json:"parts"`
}

// A Machine is where all of a report was measured: figures of another one do not mix.
type Machine struct {
	Processor  string `json:"processor"`
	Processors int    `json:"processors"`
	MemoryGB   int    `json:"memoryGB"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
}

// A Part is what was measured in one go.
type Part struct {
	Measured time.Time `json:"measured"` // when it was done
	Version  string    `json:"version"`  // of hostdir, as git calls it
	Values   []Value   `json:"values"`
}

// A Value sums up what was measured several times.
type Value struct {
	What   string  `json:"what"`        // was measured
	Side   string  `json:"side"`        // whose value it is: hostdir's, or what it is compared with
	N      int     `json:"n,omitempty"` // of how many at once, or among how many; 0 where that is nothing
	Unit   string  `json:"unit"`        // "s", "MB", or what was counted
	Runs   int     `json:"runs"`
	Median float64 `json:"median"`
	Low    float64 `json:"low"`  // the 5th percentile: of few runs, the least
	High   float64 `json:"high"` // the 95th percentile: of few runs, the most
}

// Of sums up runs, of which there must be one at least.
func Of(what, side string, n int, unit string, runs ...float64) Value {
	sorted := slices.Sorted(slices.Values(runs))
	last := len(sorted) - 1
	at := func(part float64) float64 { return sorted[int(math.Round(part*float64(last)))] }
	return Value{
		What: what, Side: side, N: n, Unit: unit, Runs: len(runs),
		Median: (sorted[last/2] + sorted[(last+1)/2]) / 2, Low: at(0.05), High: at(0.95),
	}
}

// Seconds sums up durations.
func Seconds(what, side string, n int, runs ...time.Duration) Value {
	var all []float64
	for _, d := range runs {
		all = append(all, d.Seconds())
	}
	return Of(what, side, n, "s", all...)
}

// Find returns a value of any part.
func (r Report) Find(what, side string, n int) (Value, bool) {
	for _, p := range r.Parts {
		for _, v := range p.Values {
			if v.What == what && v.Side == side && v.N == n {
				return v, true
			}
		}
	}
	return Value{}, false
}

// Read reads a report. A file that is not there is an empty one.
func Read(file string) (Report, error) {
	var r Report
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		err = fmt.Errorf("read the report %s: %w", file, err)
	}
	return r, err
}

// Add puts a part into a report, in place of what was measured of it before. What was
// measured on another machine goes.
func Add(file, part string, values []Value) error {
	r, err := Read(file)
	if err != nil {
		return err
	}
	here, err := thisMachine()
	if err != nil {
		return err
	}
	version, err := exec.Command("git", "describe", "--tags", "--always").Output()
	if err != nil {
		return fmt.Errorf("ask git for hostdir's version: %w", err)
	}
	if r.Machine != here {
		r = Report{Machine: here, Parts: map[string]Part{}}
	}
	r.Parts[part] = Part{Measured: time.Now().UTC().Truncate(time.Second), Version: strings.TrimSpace(string(version)), Values: values}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	aside := file + ".new"
	if err := os.WriteFile(aside, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(aside, file)
}

func thisMachine() (Machine, error) {
	m := Machine{Processors: runtime.NumCPU(), Go: runtime.Version()}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, err
	}
	m.Kernel = strings.TrimSpace(string(kernel))
	processor, err := field("/proc/cpuinfo", "model name")
	if err != nil {
		return m, err
	}
	m.Processor = processor
	memory, err := field("/proc/meminfo", "MemTotal")
	if err != nil {
		return m, err
	}
	var kB int
	if _, err := fmt.Sscan(memory, &kB); err != nil {
		return m, fmt.Errorf("MemTotal of /proc/meminfo: %w", err)
	}
	m.MemoryGB = int(math.Round(float64(kB) * 1024 / 1e9))
	return m, nil
}

// field returns the first value of a name in a file of /proc, "" if there is none: not
// every processor has a name.
func field(file, name string) (string, error) {
	data, err := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), nil
		}
	}
	return "", err
}
