//go:build e2e

package e2e

import (
	"fmt"
)

// checkFindsNothing asks the plugin on each node. What a test before this one has
// provoked, such as a bad configuration, takes its time to pass.
func checkFindsNothing(t *test) {
	for _, node := range t.nodes {
		t.eventually("hostdir check finds nothing wrong on "+node, func() error {
			findings, err := t.hostdir(t, node, "check")
			if err != nil {
				return fmt.Errorf("%w:\n%s", err, findings)
			}
			return nil
		})
	}
}
