package programs

import (
	"errors"
	"fmt"
	"os/exec"
	"sort"
	"strings"
)

// packages names the Debian package of each command that is not built from a Go module. runc stays Debian's: it
// links libseccomp, without which it refuses every pod.
var packages = map[string]string{
	"ip":       "iproute2",
	"nft":      "nftables",
	"iptables": "iptables",
	"busybox":  "busybox-static",
	"runc":     "runc",
	"buildah":  "buildah",
}

// Require installs the Debian packages of the commands that this machine does not have.
func Require(say func(string, ...any), commands ...string) error {
	var missing []string
	for _, command := range commands {
		if _, err := exec.LookPath(command); err != nil {
			missing = append(missing, packages[command])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	sort.Strings(missing)
	list := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("please install what Debian calls: " + list)
	}
	say("installing with apt-get: %s", list)
	for _, args := range [][]string{
		{"update", "-q"},
		append([]string{"install", "-q", "-y", "--no-install-recommends"}, missing...),
	} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, tail(string(out), 15))
		}
	}
	return nil
}
