package report

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestOf(t *testing.T) {
	for _, test := range []struct {
		runs              []float64
		median, low, high float64
	}{
		{[]float64{3}, 3, 3, 3},
		{[]float64{4, 1, 2, 3}, 2.5, 1, 4},
		{[]float64{5, 1, 3, 2, 4}, 3, 1, 5},
	} {
		v := Of("what", "side", 0, "s", test.runs...)
		if v.Median != test.median || v.Low != test.low || v.High != test.high || v.Runs != len(test.runs) {
			t.Errorf("of %v: %+v, want %v, %v to %v", test.runs, v, test.median, test.low, test.high)
		}
	}
	var many []float64
	for i := range 101 {
		many = append(many, float64(i))
	}
	if v := Of("what", "side", 0, "s", many...); v.Low != 5 || v.High != 95 {
		t.Errorf("the 5th and 95th percentile of 0 to 100 are %v and %v", v.Low, v.High)
	}
}

func TestAdd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	add := func(part string, d time.Duration) {
		t.Helper()
		if err := Add(file, part, []Value{Seconds("a call of "+part, "hostdir", 10, d)}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(part string, seconds float64, there bool) {
		t.Helper()
		r, err := Read(file)
		if err != nil {
			t.Fatal(err)
		}
		if v, found := r.Find("a call of "+part, "hostdir", 10); found != there || v.Median != seconds {
			t.Errorf("%s: %+v (%t), want %v", part, v, found, seconds)
		}
	}
	add("one", time.Second)
	add("two", 2*time.Second)
	add("one", 3*time.Second)
	want("one", 3, true)
	want("two", 2, true)
	want("three", 0, false)

	if err := os.WriteFile(file, []byte(`{"machine": {"processor": "another"}, "parts": {"one": {}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	add("two", time.Second)
	want("one", 0, false)
	want("two", 1, true)

	if err := os.WriteFile(file, []byte(`{`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Add(file, "one", nil); err == nil {
		t.Error("a report that cannot be read was replaced")
	}
}
