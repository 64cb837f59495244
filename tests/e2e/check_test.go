//go:build e2e

package e2e

import (
	"fmt"
	"os/exec"
)

// checkFindsNothing asks the plugin on each node. What a test before this one has
// provoked, such as a bad configuration, takes its time to pass.
func checkFindsNothing(t *test) {
	for _, p := range t.plugins(t) {
		t.eventually("hostdir check finds nothing wrong on "+p.Spec.NodeName, func() error {
			out, err := exec.Command("kubectl", "exec", "--namespace", home, p.Name, "--container", "hostdir", "--", "/hostdir", "check").CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w:\n%s", err, out)
			}
			return nil
		})
	}
}
