package reference

import (
	"regexp"
	"slices"
	"testing"

	"github.com/spf13/pflag"
)

// Flags compares the flags of a set with tables of flags: names, shorthands and, where
// the table has a column for it, defaults. Where a default is empty or false the cell may be
// empty, or say in words what that comes to.
func Flags(t *testing.T, where string, rows []Row, flags *pflag.FlagSet) {
	t.Helper()
	documented := map[string]Row{}
	var names []string
	for _, row := range rows {
		for _, name := range Names(row[0]) {
			names = append(names, name)
			documented[name] = row
		}
	}
	var has []string
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		own := []string{"--" + f.Name}
		if f.Shorthand != "" {
			own = append(own, "-"+f.Shorthand)
		}
		has = append(has, own...)
		row, ok := documented["--"+f.Name]
		if !ok || len(row) < 3 {
			return
		}
		want := f.DefValue
		if short, ok := shortDurations[want]; ok {
			want = short
		}
		said := slices.Contains(defaults(row, "--"+f.Name), want)
		if want == "" || want == "false" {
			said = said || !onlyCode.MatchString(row[1])
		}
		if !said {
			t.Errorf("%s: the default of --%s is %q, and it says %q", where, f.Name, want, row[1])
		}
	})
	Same(t, where, names, has)
}

// defaults are those that a row gives for one of its flags: its own where each has one.
func defaults(row Row, name string) []string {
	names, all := Names(row[0]), Names(row[1])
	if len(names) == len(all) {
		return all[slices.Index(names, name):][:1]
	}
	return all
}

// onlyCode is a cell that gives a value and says nothing.
var onlyCode = regexp.MustCompile("^`[^`]*`$")

// shortDurations are how people write what a Duration prints.
var shortDurations = map[string]string{"10m0s": "10m", "2m0s": "2m", "1m0s": "1m"}
