package monitoring

import (
	"fmt"
	"strings"
	"testing"
)

// However many lines there are, the names below them leave room for the lines.
func TestLegend(t *testing.T) {
	for n := 1; n <= 60; n++ {
		var lines []Line
		for i := range n {
			lines = append(lines, Line{Legend: fmt.Sprint("namespace/claim-", strings.Repeat("x", i%7))})
		}
		c := &canvas{}
		rows := c.legend(box{10, 100, 496, 0}, lines, true)
		if rows > 3 || rows != (&canvas{}).legend(box{10, 0, 496, 0}, lines, false) {
			t.Errorf("the names of %d lines take %d rows", n, rows)
		}
		named := strings.Count(c.String(), "<rect")
		if more := fmt.Sprintf("and %d more<", n-named); named != n && !strings.Contains(c.String(), more) {
			t.Errorf("of %d lines %d are named, and it does not say %q", n, named, more)
		}
	}
}
