//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// atLimit matches what a program is told when its volume is full: ENOSPC on XFS,
// EDQUOT on ext4 and btrfs.
func atLimit(message string) bool {
	return strings.Contains(message, "No space left on device") || strings.Contains(message, "quota exceeded")
}

func fullVolumeLeavesNeighbour(t *test) {
	const limit = 32 * mebibyte
	t.apply("quota.yaml")
	node := t.podRuns("quota").Spec.NodeName
	t.createClaim(sized("neighbour", "hostdir-limited", limit))
	neighbour := newPod("neighbour", "neighbour", counting)
	neighbour.Spec.NodeSelector = on(node)
	t.createPod(neighbour)
	t.podRuns("neighbour")

	t.eventually("the writer is told that there is no room", func() error {
		if log := t.kubectl("logs", "quota"); !atLimit(log) {
			return fmt.Errorf("its log says %q", log)
		}
		return nil
	})
	written := t.size("quota", "/data/file")
	if written > limit || written < limit-2*mebibyte {
		t.Errorf("the writer wrote %d bytes, its claim has %d", written, int64(limit))
	}
	count := func() int {
		n, err := strconv.Atoi(t.exec("neighbour", "tail", "-n1", "/data/log"))
		t.check(err)
		return n
	}
	before := count()
	t.eventually("the neighbour writes on", func() error {
		if count() <= before {
			return errors.New("no more numbers came")
		}
		return nil
	})
	// Whoever makes room has it.
	if got := t.exec("quota", "sh", "-c", "rm /data/file && sync && echo again > /data/small && cat /data/small"); got != "again" {
		t.Errorf("after removing its file the writer reads %q", got)
	}
}

// nothingLimitedIsLeft holds for all tests before it: with their volumes go the
// subvolumes, and in the end the qgroups.
func nothingLimitedIsLeft(t *test) {
	for _, node := range t.nodes {
		for what, look := range map[string]string{
			"files":      "cd " + limitedPool + " && ls -A volumes trash claims | grep -v :$ || true",
			"subvolumes": "btrfs subvolume list " + limitedPool,
			"qgroups":    "btrfs qgroup show " + limitedPool + " | grep '^0/' | grep -v '^0/5 ' || true",
		} {
			t.eventually("no "+what+" are left on "+node, func() error {
				if left := strings.TrimSpace(t.onNode(t, node, "sh", "-c", look)); left != "" {
					return fmt.Errorf("there are\n%s", left)
				}
				return nil
			})
		}
	}
}

// size is how many bytes a file in a pod has.
func (t *test) size(pod, file string) int64 {
	t.Helper()
	bytes, err := strconv.ParseInt(t.exec(pod, "stat", "-c", "%s", file), 10, 64)
	t.check(err)
	return bytes
}
