package hang

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mount is a FUSE mount and the process that holds it.
type mount struct {
	path     string
	settings io.WriteCloser
	replies  *json.Decoder
	process  *exec.Cmd
}

// startMount starts this program again, to do what Main does.
func startMount(t testing.TB, s served) *mount {
	t.Helper()
	what, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	process := exec.Command("/proc/self/exe")
	process.Env = append(os.Environ(), serveEnv+"="+string(what))
	process.Stderr = os.Stderr
	settings, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	replies, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	m := &mount{s.Mount, settings, json.NewDecoder(replies), process}
	if _, err := m.ask(setting{}); err != nil { // it answers once it has mounted
		m.end(t)
		t.Fatalf("no mount at %s: %v", m.path, err)
	}
	return m
}

// end takes the mount away, whatever waits for it: without the process that holds
// it, whoever waits gets an error.
func (m *mount) end(t testing.TB) {
	t.Helper()
	m.settings.Close()
	tooLong := time.AfterFunc(10*time.Second, func() { m.process.Process.Kill() })
	defer tooLong.Stop()
	if err := m.process.Wait(); err != nil {
		t.Errorf("the server of %s: %v", m.path, err)
		unix.Unmount(m.path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
}

// set says what is held up from now on, and returns how many requests have come
// since the last time.
func (m *mount) set(t testing.TB, s setting) (requests int) {
	t.Helper()
	requests, err := m.ask(s)
	if err != nil {
		t.Errorf("the server of %s: %v", m.path, err)
	}
	return requests
}

func (m *mount) ask(s setting) (requests int, err error) {
	var r reply
	err = errors.Join(json.NewEncoder(m.settings).Encode(s), m.replies.Decode(&r))
	return r.Requests, err
}
