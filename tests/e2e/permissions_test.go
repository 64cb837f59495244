//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

func podsWithoutRootWrite(t *test) {
	t.apply("nonroot.yaml") // runAsUser 1000, fsGroup 2000
	t.createClaim(newClaim("plain"))
	plain := newPod("plain", "plain", "echo hello > /data/hello")
	user := int64(1000)
	plain.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user, RunAsGroup: &user}
	t.createPod(plain)

	t.podRuns("nonroot")
	t.podRuns("plain")
	for claim, want := range map[string]string{"nonroot": "1000:2000", "plain": "1000:1000"} {
		dir := t.directory(claim)
		if got := t.content(dir, "hello"); got != "hello" {
			t.Errorf("pod %s wrote %q", claim, got)
		}
		if got, _ := t.ownership(filepath.Join(dir, "hello")); got != want {
			t.Errorf("the file of pod %s belongs to %s, want %s", claim, got, want)
		}
	}
}

func classDecidesOwnership(t *test) {
	class := t.createClass(map[string]string{"mode": "2750", "uid": "1234", "gid": "5678"})
	set := newStatefulSet("db", 1, signed)
	set.Spec.VolumeClaimTemplates[0].Spec.StorageClassName = &class
	t.createStatefulSet(set)
	t.podRuns("db-0")
	owner, mode := t.ownership(t.directory("data-db-0"))
	if owner != "1234:5678" || mode != os.ModeDir|os.ModeSetgid|0o750 {
		t.Errorf("the directory belongs to %s with mode %v", owner, mode)
	}
	// Other people of the node get no further than the disk's directory.
	if owner, mode := t.ownership(filepath.Join(t.files[t.nodeOf(t.volumeOf("data-db-0"))], pool)); owner != "0:0" || mode != os.ModeDir|0o700 {
		t.Errorf("the pool belongs to %s with mode %v", owner, mode)
	}
}

func mountOptionsHold(t *test) {
	t.createClaim(newClaim("data"))
	writer := newPod("writer", "data", "echo hello > /data/hello")
	t.createPod(writer)
	t.podRuns("writer")

	byMount := newPod("by-mount", "data", "")
	byMount.Spec.Containers[0].VolumeMounts[0].ReadOnly = true
	byClaim := newPod("by-claim", "data", "")
	byClaim.Spec.Volumes[0].PersistentVolumeClaim.ReadOnly = true
	for _, p := range []*corev1.Pod{byMount, byClaim} {
		t.createPod(p)
	}
	for pod, want := range map[string]string{"writer": "rw", "by-mount": "rw", "by-claim": "ro"} {
		p := t.podRuns(pod)
		// What hostdir has mounted for kubelet.
		path := fmt.Sprintf("/var/lib/kubelet/pods/%s/volumes/kubernetes.io~csi/%s/mount", p.UID, t.volumeOf("data").Name)
		t.hasOptions(pod, t.onNode(t, p.Spec.NodeName, "awk", `$2 == "`+path+`" { print $4 }`, "/proc/mounts"), want, "nosuid", "nodev")
	}
	for pod, want := range map[string][]string{
		"writer": {"rw", "nosuid", "nodev"},
		// Where it mounts read-only, runc sets this option and clears the others.
		"by-mount": {"ro"},
		"by-claim": {"ro"},
	} {
		t.hasOptions(pod, t.exec(pod, "awk", `$2 == "/data" { print $4 }`, "/proc/mounts"), want...)
		if got := t.exec(pod, "cat", "/data/hello"); got != "hello" {
			t.Errorf("pod %s reads %q", pod, got)
		}
		written := t.exec(pod, "sh", "-c", "touch /data/more 2>/dev/null && echo rw || echo ro")
		if written != want[0] {
			t.Errorf("pod %s can do %s with /data, want %s", pod, written, want[0])
		}
	}
}

func (t *test) hasOptions(pod, options string, want ...string) {
	t.Helper()
	for _, option := range want {
		if !slices.Contains(strings.Split(options, ","), option) {
			t.Errorf("the volume of pod %s is mounted with %q, without %s", pod, options, option)
		}
	}
}

// ownership is who owns a file, as user:group, and its mode.
func (t *test) ownership(path string) (owner string, mode os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	t.check(err)
	s := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", s.Uid, s.Gid), info.Mode()
}
