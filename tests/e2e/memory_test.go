//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// memory is in megabytes.
type memory struct {
	resident  float64 // RSS: what of the process is in memory, its program file too
	anonymous float64 // what of it is no file, and so its own alone
}

// memoryOf adds up the processes of a container, as the kernel reports them.
func memoryOf(t testing.TB, p *corev1.Pod, container string) memory {
	t.Helper()
	return memoryOfAll(t, processes(t, p, container))
}

// memoryOfAll adds up processes, which are folders of /proc.
func memoryOfAll(t testing.TB, processes []string) memory {
	t.Helper()
	var m memory
	for _, process := range processes {
		status, err := os.ReadFile(filepath.Join(process, "status"))
		if err != nil {
			t.Fatal(err)
		}
		m.resident += megabytes(t, string(status), "VmRSS:")
		m.anonymous += megabytes(t, string(status), "RssAnon:")
	}
	return m
}

func megabytes(t testing.TB, status, field string) float64 {
	t.Helper()
	_, rest, found := strings.Cut(status, field)
	var kB float64
	if _, err := fmt.Sscan(rest, &kB); !found || err != nil {
		t.Fatalf("no %s in a process's status (%v)", field, err)
	}
	return kB * 1024 / 1e6
}
