package architecture

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/tests/reference"
)

// TestPromisesAreTested looks for each test that docs/explanation/promises.md names, in
// the package that is named before it or below, for the parts in quotes, and for at least one behind each promise.
func TestPromisesAreTested(t *testing.T) {
	for _, row := range reference.Rows(t, "explanation/promises.md", "", "Promise") {
		named := 0
		for _, part := range strings.Split(row[1], ";") {
			where := reference.Names(part)
			if len(where) != 1 {
				t.Errorf("%q names no package, or several", part)
				continue
			}
			tests := testsIn(t, where[0])
			for _, words := range regexp.MustCompile(`"[^"]+"`).FindAllString(part, -1) {
				if !tests[words] {
					t.Errorf("%s has no part %s, which is said to show: %s", where[0], words, row[0])
				}
			}
			for _, name := range regexp.MustCompile(`\bTest\w+`).FindAllString(part, -1) {
				named++
				if !tests[name] {
					t.Errorf("%s has no test %s, which is said to show: %s", where[0], name, row[0])
				}
			}
		}
		if named == 0 {
			t.Errorf("no test is named for: %s", row[0])
		}
	}
}

// testName is a test, or what one of a table of tests is called.
var testName = regexp.MustCompile(`(?m)^func (Test\w+)\(|^\t\{("[^"]+"), `)

// testsIn are the tests of a directory and below, under whatever build tag, and the names
// in tables of tests, in quotes.
func testsIn(t *testing.T, tree string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, depth := range []string{"*_test.go", "*/*_test.go", "*/*/*_test.go"} {
		files, err := filepath.Glob(filepath.Join("../..", tree, depth))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for _, match := range testName.FindAllStringSubmatch(read(t, file), -1) {
				found[match[1]+match[2]] = true
			}
		}
	}
	return found
}
