package faults

import (
	"fmt"
	"strings"
)

// tries counts what was tried.
type tries []*tally

// tally is what was tried of one operation.
type tally struct {
	operation               string
	points, kills, failures int
	last                    int // point
}

var tried tries

func (all *tries) count(operation string, at int, kill bool) {
	if n := len(*all); n == 0 || (*all)[n-1].operation != operation {
		*all = append(*all, &tally{operation: operation, last: nowhere})
	}
	of := (*all)[len(*all)-1]
	if at != of.last {
		of.points, of.last = of.points+1, at
	}
	if kill {
		of.kills++
	} else {
		of.failures++
	}
}

func (all tries) String() string {
	var b strings.Builder
	line := "%-40s %7v %7v %9v\n"
	fmt.Fprintf(&b, line, "operation", "points", "kills", "failures")
	sum := tally{operation: "all"}
	for _, of := range all {
		fmt.Fprintf(&b, line, of.operation, of.points, of.kills, of.failures)
		sum.points, sum.kills, sum.failures = sum.points+of.points, sum.kills+of.kills, sum.failures+of.failures
	}
	fmt.Fprintf(&b, line, sum.operation, sum.points, sum.kills, sum.failures)
	return b.String()
}
