package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestNodeEntry reads in the log which entry of nodes a node goes by.
func TestNodeEntry(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ match, says string }{
		{"node-*", `"this node's pools are those of an entry of nodes" node="node-1" match="node-*"`},
		{"worker-*", `"no entry of nodes matches this node: it has the pools that all others have" node="node-1" entries=1`},
	} {
		t.Run(test.match, func(t *testing.T) {
			p := layOut(t)
			pools := fmt.Sprintf("[{name: default, paths: [%q]}]", p.Base)
			p.Configure(t, fmt.Sprintf("pools: %s\nnodes: [{match: [%q], pools: %s}]", pools, test.match, pools))
			p.Run(t)
			p.Signal(t, os.Interrupt)
			if n := strings.Count(p.Log(), test.says); n != 1 {
				t.Errorf("the log says %d times %s, want once", n, test.says)
			}
		})
	}
}
