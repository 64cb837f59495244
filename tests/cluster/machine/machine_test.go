package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func init() { runtime.LockOSThread() }

// TestMain is also the first process of the machines that the tests start.
func TestMain(m *testing.M) {
	if IsBoot(os.Args) {
		fmt.Fprintln(os.Stderr, Boot(os.Args[2]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestLife(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("machines need root")
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	m := Machine{Dir: filepath.Join(t.TempDir(), "one")}
	cgroup := fmt.Sprintf("hostdir-machine-test-%d/one", os.Getpid())
	if err := m.Create(Spec{
		Name: "one", Cgroup: cgroup, Network: []string{"link set lo up", "link set eth0 up"},
		Daemons: []Daemon{
			{Name: "sleep", Args: []string{sleep, "1000"}},
			{Name: "never", Args: []string{sleep, "1001"}, After: "127.0.0.1:1"},
			// An orphan of the machine, in a session of its own, that only the end of the machine ends.
			{Name: "sh", Args: []string{"/bin/sh", "-c", "hostname; echo kept > /var/lib/file; setsid sleep 2000 & sleep 1002"}},
		},
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
	})
	plug := func(pid int) error {
		return exec.Command("nsenter", "--target", fmt.Sprint(pid), "--net", "ip", "link", "add", "name", "eth0", "type", "bridge").Run()
	}
	if err := m.Start(plug); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(plug); err == nil || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("started twice: %v", err)
	}
	eventually(t, "its daemon writes its log", func() bool {
		log, _ := os.ReadFile(filepath.Join(m.Root(), "var/log/sh.log"))
		return string(log) == "one\n"
	})
	eventually(t, "its daemons run", func() bool { _, err := m.daemonPID("sleep"); return err == nil })
	before, err := m.daemonPID("sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Restart("sleep"); err != nil {
		t.Fatal(err)
	}
	if after, err := m.daemonPID("sleep"); err != nil || after == before {
		t.Errorf("after the restart process %d runs (%v), before it %d did", after, err, before)
	}

	pid, err := m.PID()
	if err != nil || pid == 0 {
		t.Fatalf("its first process is %d, %v", pid, err)
	}
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
	if pid, err := m.PID(); pid != 0 || err != nil {
		t.Errorf("after its end process %d holds its lock, %v", pid, err)
	}
	links, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, link := range links {
		if is, err := os.Readlink(link); err == nil && is == namespace {
			t.Errorf("%s is still in the machine", link)
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	if strings.Contains(string(mounts), m.Dir) {
		t.Errorf("its mounts are still there:\n%s", mounts)
	}
	left, _ := filepath.Glob(filepath.Join(cgroupRoot, "*", filepath.Dir(cgroup)))
	if _, err := os.Stat(filepath.Join(cgroupRoot, filepath.Dir(cgroup))); len(left) > 0 || err == nil {
		t.Errorf("its cgroups are still there: %q", left)
	}
	if kept, _ := os.ReadFile(filepath.Join(m.Root(), "var/lib/file")); string(kept) != "kept\n" {
		t.Errorf("its file holds %q", kept)
	}
	if err := m.Start(plug); err != nil {
		t.Errorf("start it again: %v", err)
	}
}

func TestStartFails(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("machines need root")
	}
	m := Machine{Dir: filepath.Join(t.TempDir(), "two")}
	cgroup := fmt.Sprintf("hostdir-machine-test-%d/two", os.Getpid())
	if err := m.Create(Spec{Name: "two", Cgroup: cgroup, Network: []string{"link set nothing up"}}); err != nil {
		t.Fatal(err)
	}
	err := m.Start(func(int) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "ip link set nothing up") {
		t.Errorf("it started with a network that cannot be: %v", err)
	}
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
	unplugged := fmt.Errorf("no cable")
	if err := m.Start(func(int) error { return unplugged }); err == nil || !strings.Contains(err.Error(), "no cable") {
		t.Errorf("it started without a cable: %v", err)
	}
	eventually(t, "it ends", func() bool { pid, err := m.PID(); return pid == 0 && err == nil })
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
}

func TestParseHierarchies(t *testing.T) {
	const mountinfo = `25 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 25 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd
33 30 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
34 25 0:29 / /elsewhere rw,relatime - cgroup2 cgroup2 rw
`
	want := []hierarchy{
		{mountPoint: "/sys/fs/cgroup/cpu,cpuacct", options: "cpu,cpuacct"},
		{mountPoint: "/sys/fs/cgroup/systemd", options: "name=systemd"},
		{mountPoint: "/sys/fs/cgroup/unified", version2: true},
	}
	if diff := cmp.Diff(want, parseHierarchies(mountinfo), cmp.AllowUnexported(hierarchy{})); diff != "" {
		t.Error(diff)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
