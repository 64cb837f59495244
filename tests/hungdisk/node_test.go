package hungdisk

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/hungdisk/hang"
	"github.com/hostdir/hostdir/tests/plugin"
)

// What is demanded. A moment is what any call may take that needs nothing of a
// disk that hangs.
const (
	moment     = time.Second
	comesUp    = 2 * time.Second  // from the launch until healthy disks are ready
	firstTime  = 10 * time.Second // a call on a disk that has only begun to hang
	givesUp    = 15 * time.Second // the same, if it hangs in the middle of the call
	recovers   = 15 * time.Second // from the disk's first answer until it is in use
	purges     = 15 * time.Second // a deleted volume of a healthy disk
	terminates = 20 * time.Second // from SIGTERM to the end
)

// lasts is longer than a call waits, and than a disk that is slow takes for two
// requests.
const lasts = 45 * time.Second

const mebibyte = 1 << 20

func TestMain(m *testing.M) {
	hang.Main()
	flag.Parse()
	flag.Set("test.parallel", "8") // these tests do little but wait
	os.Exit(m.Run())
}

// hanger is a disk, or several, that the test can make hang.
type hanger interface {
	Hang(testing.TB)
	Answer(testing.TB)
}

// hanging are two directories that the test can make hang.
type hanging struct {
	hanger
	c, e string
}

// kinds are the ways for disks to hang.
var kinds = []struct {
	name  string
	disks func(t *testing.T) hanging
}{
	{"never answers", func(t *testing.T) hanging {
		c, e := t.TempDir(), t.TempDir()
		return hanging{hang.NewCover(t, c, e), c, e}
	}},
	{"stops answering", func(t *testing.T) hanging { return on(t, hang.Start(t)) }},
}

// on makes the directories on one disk.
func on(t *testing.T, d *hang.Disk) hanging {
	t.Helper()
	h := hanging{d, filepath.Join(d.Path, "c"), filepath.Join(d.Path, "e")}
	for _, dir := range []string{h.c, h.e} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// node is a plugin, its client, and the disks.
type node struct {
	*plugin.Plugin
	plugin.Client
	hanging
	// a, b and d are healthy disks. Pool "mixed" is d and e, the other pools have
	// the names of their disks.
	a, b, d  string
	launched time.Time
}

// layout prepares a node. The program does not run yet.
func layout(t *testing.T, h hanging) *node {
	t.Helper()
	n := &node{Plugin: plugin.Layout(t, ""), hanging: h, b: t.TempDir(), d: t.TempDir()}
	n.a = n.Base
	plugin.Build(t) // now, not within the time of a start
	plugin.BuildPlain(t)
	n.Configure(t, fmt.Sprintf("pools: [{name: a, paths: [%q]}, {name: b, paths: [%q]}, {name: c, paths: [%q]}, {name: mixed, paths: [%q, %q]}]",
		n.a, n.b, n.c, n.d, n.e))
	t.Cleanup(func() { disk.UnmountBelow(t, n.KubeletDir) })
	return n
}

// start runs the program on disks that answer, until all of them are ready.
func start(t *testing.T, h hanging) *node {
	t.Helper()
	n := layout(t, h)
	n.launch(t)
	n.awaitRecovery(t)
	return n
}

// launch starts the program and waits until it answers, which must be soon.
// When the test ends the disk answers again, so that the program can end.
func (n *node) launch(t *testing.T) {
	t.Helper()
	n.launched = time.Now()
	n.Launch(t)
	t.Cleanup(func() { n.Answer(t) })
	n.Client = plugin.NewClient(n.Conn)
	for {
		_, code, err := n.get(t.Context(), person, "/healthz")
		took := time.Since(n.launched)
		if err == nil && code == http.StatusOK {
			if took > comesUp {
				t.Errorf("/healthz answered %s after the launch, want at most %s", took, comesUp)
			}
			return
		}
		if took > 20*time.Second {
			t.Fatalf("/healthz does not answer: code %d, %v", code, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// target is a path to publish a volume at.
func (n *node) target(name string) string { return filepath.Join(n.KubeletDir, "target-"+name) }

// within runs what must not take longer than this, and lets it take somewhat more
// to see how it ends.
func within(t *testing.T, limit time.Duration, what string, call func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit+10*time.Second)
	defer cancel()
	began := time.Now()
	err := call(ctx)
	if took := time.Since(began); took > limit {
		t.Errorf("%s took %s, want at most %s: %v", what, took.Round(time.Millisecond), limit, err)
	}
	return err
}

// want is within for what must succeed.
func want(t *testing.T, limit time.Duration, what string, call func(context.Context) error) {
	t.Helper()
	if err := within(t, limit, what, call); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}
