package inputs

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestDeleteImmutableFile deletes volumes with files that not even root can
// remove. The others are purged, the log and a metric say so, and once the files can
// be removed they are.
func TestDeleteImmutableFile(t *testing.T) {
	plugin.RequireRoot(t)
	s := startOn(t, disk.Mount(t, "ext4", 16*mebibyte))
	before := snapshot(t, s.Base)
	var stuck []*os.File
	for name, flag := range map[string]int{"pvc-immutable": unix.STATX_ATTR_IMMUTABLE, "pvc-append": unix.STATX_ATTR_APPEND} {
		id := s.create(t, name)
		directory := filepath.Join(s.VolumeDir(id), "data", "directory")
		mkdir(t, directory)
		f, err := os.Create(filepath.Join(directory, "file"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		setFlags(t, f, flag)
		t.Cleanup(func() { setFlags(t, f, 0) })
		stuck = append(stuck, f)
		wantCode(t, s.delete(id), codes.OK, "")
	}
	wantCode(t, s.delete(s.create(t, "pvc-other")), codes.OK, "")
	s.waitTrash(t, len(stuck))
	s.waitMetric(t, "hostdir_disk_trash_stuck_volumes", len(stuck))

	for _, f := range stuck {
		setFlags(t, f, 0)
		f.Close()
	}
	// It is tried again each minute; a deletion wakes the purge at once.
	wantCode(t, s.delete(s.create(t, "pvc-last")), codes.OK, "")
	s.waitPurged(t)
	s.waitMetric(t, "hostdir_disk_trash_stuck_volumes", 0)
	wantSame(t, s.Base, before)

	s.Signal(t, os.Interrupt)
	if says := "is immutable or append-only"; !strings.Contains(s.Log(), says) {
		t.Errorf("the log does not say %q:\n%s", says, s.Log())
	}
}

// setFlags sets a file's flags as chattr(1) does. The numbers of
// STATX_ATTR_IMMUTABLE and _APPEND are those of FS_IMMUTABLE_FL and FS_APPEND_FL.
func setFlags(t *testing.T, f *os.File, flags int) {
	t.Helper()
	err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags)
	if err != nil && err != unix.EBADF { // closed, for nothing keeps it any more
		t.Fatalf("FS_IOC_SETFLAGS %#x: %v", flags, err)
	}
}

// waitMetric waits until a metric with one series has a value.
func (s *server) waitMetric(t *testing.T, name string, want int) {
	t.Helper()
	var line string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		line = s.metric(t, name)
		if strings.HasSuffix(line, fmt.Sprintf("} %d", want)) {
			return
		}
	}
	t.Errorf("the metric is %q, want %d", line, want)
}

func (s *server) metric(t *testing.T, name string) string {
	t.Helper()
	resp, err := http.Get("http://" + s.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, name+"{") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
