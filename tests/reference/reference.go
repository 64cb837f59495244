// Package reference reads the tables of docs/reference, for tests that compare them
// with the code: what is documented must be there, and what is there documented.
package reference

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Row is a line of a table: its cells.
type Row []string

// code is what stands in backticks.
var code = regexp.MustCompile("`([^`]+)`")

// Names are what a cell has in backticks.
func Names(cell string) (names []string) {
	for _, match := range code.FindAllStringSubmatch(cell, -1) {
		names = append(names, strings.ReplaceAll(match[1], `\|`, "|"))
	}
	return names
}

// Page returns a page of docs/.
func Page(t *testing.T, page string) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(here), "../../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Section returns what is below a heading, to the next one of its rank or a higher one;
// with "" the whole page.
func Section(t *testing.T, page, heading string) string {
	t.Helper()
	text := Page(t, page)
	if heading == "" {
		return text
	}
	var section []string
	rank := 0
	for line := range strings.Lines(text) {
		marks := len(line) - len(strings.TrimLeft(line, "#"))
		switch {
		case rank == 0 && marks > 0 && strings.TrimSpace(line[marks:]) == heading:
			rank = marks
		case rank > 0 && marks > 0 && marks <= rank && line[marks] == ' ':
			return strings.Join(section, "")
		case rank > 0:
			section = append(section, line)
		}
	}
	if rank == 0 {
		t.Fatalf("docs/%s has no section %q", page, heading)
	}
	return strings.Join(section, "")
}

// Rows are those of all tables in a section whose first column has this title, without
// the lines of titles. It fails if there are none.
func Rows(t *testing.T, page, heading, title string) []Row {
	t.Helper()
	var rows []Row
	in := false
	for line := range strings.Lines(Section(t, page, heading)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			in = false
			continue
		}
		cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00"), "|")
		for i := range cells {
			cells[i] = strings.ReplaceAll(strings.TrimSpace(cells[i]), "\x00", `\|`)
		}
		switch {
		case cells[0] == title:
			in = true
		case in && strings.Trim(line, "|-") != "":
			rows = append(rows, cells)
		}
	}
	if len(rows) == 0 {
		t.Fatalf("docs/%s, %q has no table of %q", page, heading, title)
	}
	return rows
}

// First are the names in the first column of such rows, sorted.
func First(t *testing.T, page, heading, title string) (names []string) {
	t.Helper()
	for _, row := range Rows(t, page, heading, title) {
		names = append(names, Names(row[0])...)
	}
	slices.Sort(names)
	return names
}

// Same compares what a page documents with what the code has, in any order, and each
// once.
func Same(t *testing.T, where string, documented, has []string) {
	t.Helper()
	for i, name := range documented {
		if !slices.Contains(has, name) {
			t.Errorf("%s explains `%s`, which there is not", where, name)
		}
		if slices.Contains(documented[:i], name) {
			t.Errorf("%s explains `%s` twice", where, name)
		}
	}
	for _, name := range has {
		if !slices.Contains(documented, name) {
			t.Errorf("%s does not explain `%s`", where, name)
		}
	}
}
