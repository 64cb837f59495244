package powercut

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
	"github.com/hostdir/hostdir/tests/powercut/unsynced"
)

// traced is a node whose program's system calls are followed.
type traced struct {
	*node
	model *unsynced.Model
	trace *bufio.Reader
	part  string // of a line that is not written to its end
	// strace is the command that the program runs under.
	strace []string
	// ignored is a path whose syncs are not believed, for a test of this test.
	ignored string
}

// trace lays out a node whose pool is at base.
func trace(t *testing.T, base string) *traced {
	t.Helper()
	n := &traced{node: layOutAt(t, base)}
	file := filepath.Join(t.TempDir(), "trace")
	model, err := unsynced.New(n.Base)
	if err != nil {
		t.Fatal(err)
	}
	trace, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { trace.Close() })
	n.model, n.trace = model, bufio.NewReader(trace)
	n.strace = append([]string{"strace"}, unsynced.Options(file)...)
	return n
}

// runTraced starts the program under strace.
func (n *traced) runTraced(t *testing.T) {
	t.Helper()
	n.Through = n.strace
	n.run(t)
}

// follow takes up the system calls until now. strace has shown all that came
// before an answer when the answer comes: it holds the program meanwhile.
func (n *traced) follow(t *testing.T) {
	t.Helper()
	for {
		line, err := n.trace.ReadString('\n')
		n.part += line
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(n.part, " fsync(") && n.ignored != "" {
			n.part = strings.ReplaceAll(n.part, "<"+n.ignored+">", "</elsewhere>")
		}
		if err := n.model.Follow(n.part); err != nil {
			t.Fatal(err)
		}
		n.part = ""
	}
}

// broken are the changes that a power cut could undo and should not.
func (n *traced) broken() []unsynced.Change {
	all := n.model.Unsynced()
	return slices.DeleteFunc(slices.Clone(all), func(c unsynced.Change) bool {
		// Links for people are made again at start.
		return strings.HasPrefix(c.Path, "claims/") || isPurge(c, all)
	})
}

// isPurge reports that a change belongs to the purge, which nobody waits for: an
// entry of the trash is renamed to <name>.purge.<uuid> before anything of it goes.
func isPurge(c unsynced.Change, all []unsynced.Change) bool {
	entry, inTrash := strings.CutPrefix(c.Path, "trash/")
	uuid := entry[strings.LastIndexByte(entry, '.')+1:]
	return inTrash && (strings.Contains(entry, ".purge.") || slices.ContainsFunc(all, func(other unsynced.Change) bool {
		return strings.HasPrefix(other.Path, "trash/") && strings.HasSuffix(other.Path, ".purge."+uuid)
	}))
}

// must makes a call, whose OK must not come too early.
func (n *traced) must(t *testing.T, c call) {
	t.Helper()
	err := n.do(c)
	n.follow(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range n.broken() {
		t.Errorf("%s was acknowledged, and a power cut could undo: %s", c, change)
	}
}

// TestAnswersAreSynced wants every answer to come after the sync of all that it
// relies on.
func TestAnswersAreSynced(t *testing.T) {
	plugin.RequireRoot(t)
	for name, base := range map[string]func(t *testing.T) string{
		"directory":  func(t *testing.T) string { return t.TempDir() },
		"subvolumes": func(t *testing.T) string { return disk.MountLimited(t, 256*mebibyte) },
	} {
		t.Run(name, func(t *testing.T) {
			n := trace(t, base(t))
			n.runTraced(t)
			for _, class := range []config.Class{class, keptClass} {
				claim := store.Claim{Namespace: "shop", Name: "www-web-" + class.TrashTTL + "0"}
				name := "pvc-1" + class.TrashTTL
				made := call{kind: create, name: name, capacity: mebibyte, class: class, claim: claim}
				n.must(t, made)
				n.must(t, made)
				n.mustCopy(t, made)
				n.must(t, call{kind: expand, name: name, capacity: 2 * mebibyte})
				n.must(t, call{kind: remove, name: name})
				if class.TrashTTL != "" {
					n.must(t, call{kind: undelete, name: name})
					n.must(t, call{kind: remove, name: name})
				}
				n.must(t, call{kind: remove, name: name})
				n.must(t, made)
			}
			n.Signal(t, syscall.SIGTERM)
			n.follow(t)
			if err := n.model.Compare(); err != nil {
				t.Error(err)
			}
		})
	}
}

// mustCopy makes a snapshot of a volume and a volume of that, and deletes both.
func (n *traced) mustCopy(t *testing.T, of call) {
	t.Helper()
	taken := call{kind: snapshot, name: "snapshot-" + of.name, source: of.name}
	restored := call{kind: restore, name: "pvc-of-" + of.name, source: taken.name, class: class, capacity: 2 * mebibyte}
	if err := n.waitPurged(); err != nil {
		t.Fatal(err)
	}
	n.follow(t)
	// What a pod has synced.
	if err := os.WriteFile(filepath.Join(n.Base, "volumes", of.name, "data", "file"), make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.model.TakeSynced(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []call{taken, restored} {
		n.must(t, c)
		n.must(t, c)
	}
	for _, c := range []call{{kind: forget, name: taken.name}, {kind: remove, name: restored.name}} {
		n.must(t, c)
		n.must(t, c)
	}
}

// TestRetriesAreSynced kills the program right before the last sync of a call, so
// to speak: after it, with all that it renamed taken for unsynced. The call is
// repeated then, and what it finds done already must be synced before its OK.
func TestRetriesAreSynced(t *testing.T) {
	plugin.RequireRoot(t)
	const name = "pvc-1"
	made := call{kind: create, name: name, capacity: mebibyte, class: class}
	kept := call{kind: create, name: name, capacity: mebibyte, class: keptClass}
	grown := call{kind: expand, name: name, capacity: 2 * mebibyte}
	removed := call{kind: remove, name: name}
	other := call{kind: snapshot, name: "snapshot-0", source: name} // so that there are some
	taken := call{kind: snapshot, name: "snapshot-1", source: name}
	restored := call{kind: restore, name: "pvc-2", source: taken.name, class: class, capacity: mebibyte}
	forgotten := call{kind: forget, name: taken.name}
	tests := []struct {
		name    string
		before  []call // calls of a program that ends well; nil for none
		killed  []call // of one that is killed
		retried call
	}{
		{"a new pool", nil, []call{}, made},
		{"create", []call{}, []call{made}, made},
		{"expand", []call{made}, []call{grown}, grown},
		{"delete", []call{made}, []call{removed}, removed},
		{"delete and keep", []call{kept}, []call{removed}, removed},
		{"snapshot", []call{made, other}, []call{taken}, taken},
		{"restore", []call{made, taken}, []call{restored}, restored},
		{"delete a snapshot", []call{made, taken}, []call{forgotten}, forgotten},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := trace(t, t.TempDir())
			ask := func(calls []call, end os.Signal) {
				t.Helper()
				n.run(t)
				for _, c := range calls {
					if err := n.do(c); err != nil {
						t.Fatal(err)
					}
				}
				n.Signal(t, end)
			}
			if test.before != nil {
				ask(test.before, syscall.SIGTERM)
				var err error
				if n.model, err = unsynced.New(n.Base); err != nil {
					t.Fatal(err)
				}
			}
			ask(test.killed, syscall.SIGKILL)
			if err := n.model.Reread(); err != nil {
				t.Fatal(err)
			}
			if len(n.broken()) == 0 {
				t.Fatal("nothing was unsynced")
			}
			n.runTraced(t)
			n.must(t, test.retried)
			n.Signal(t, syscall.SIGTERM)
			n.follow(t)
			if err := n.model.Compare(); err != nil {
				t.Error(err)
			}
		})
	}
}
