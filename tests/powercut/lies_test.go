package powercut

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hostdir/hostdir/tests/plugin"
	"github.com/hostdir/hostdir/tests/powercut/drive"
)

// The tests here break what the others rely on, and want them to notice.

// TestLossIsNoticed lets a drive ignore flushes, as bad ones do, and a program
// leave its syncs out. Either way a power cut takes what was acknowledged.
func TestLossIsNoticed(t *testing.T) {
	plugin.RequireRoot(t)
	liars := []struct {
		name string
		lie  func(n *node)
	}{
		{"drive", func(n *node) { n.drive.IgnoreFlushes() }},
		{"program", func(n *node) {
			n.Through = []string{"strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e", "trace=fsync", "-e", "inject=fsync:retval=0"}
		}},
	}
	// What is deleted is kept: a purge would have btrfs write all down.
	made := func(name string) call {
		return call{kind: create, name: name, class: keptClass, capacity: mebibyte}
	}
	for _, filesystem := range filesystems {
		for _, liar := range liars {
			t.Run(filesystem.name+"/"+liar.name, func(t *testing.T) {
				var log *drive.Log
				var history history
				t.Run("record", func(t *testing.T) {
					n := layOut(t, filesystem, filesystem.make(t))
					ask := func(calls ...call) {
						n.run(t)
						for _, c := range calls {
							if err := n.do(c); err != nil {
								t.Fatal(err)
							}
						}
						n.Signal(t, syscall.SIGTERM)
					}
					ask(made("pvc-expanded"), made("pvc-deleted"))
					liar.lie(n)
					ask(made("pvc-created"),
						call{kind: expand, name: "pvc-expanded", capacity: 2 * mebibyte},
						call{kind: remove, name: "pvc-deleted"})
					log, history = n.drive.Log(), n.history
					history.memory = n.remembered(t)
				})
				end := history.calls[len(history.calls)-1].end
				image, _ := log.Cut(end, nil)
				n := layOut(t, filesystem, image)
				n.remember(t, history.memory)
				committed := liar.name == "program" && filesystem.kind == "btrfs"
				if committed {
					n.Expect("Quarantined") // the record of the new one is empty
				}
				n.run(t)
				wrong := n.check(t, history.at(end))
				for _, name := range []string{"pvc-created", "pvc-expanded", "pvc-deleted"} {
					// On btrfs names are committed besides, and before that btrfs itself
					// writes a file that takes another one's place.
					lost := !committed || name == "pvc-created"
					if noticed := slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, "volume "+name+":") }); noticed != lost {
						t.Errorf("%s is lost: %t, noticed: %t: %q", name, lost, noticed, wrong)
					}
				}
			})
		}
	}
}

// TestEverySyncCounts leaves out one sync of the program's after the other, and
// wants what an answer relied on to be missed.
func TestEverySyncCounts(t *testing.T) {
	plugin.RequireRoot(t)
	const name = "pvc-1"
	made := call{kind: create, name: name, class: class, capacity: mebibyte}
	kept := call{kind: create, name: name, class: keptClass, capacity: mebibyte}
	grown := call{kind: expand, name: name, capacity: 2 * mebibyte}
	removed := call{kind: remove, name: name}
	back := call{kind: undelete, name: name}
	tests := []struct {
		name   string
		path   string // whose syncs are left out
		before []call // nil for no program that has run before
		asked  call
	}{
		{"marker", ".disk.json.new", nil, made},
		{"pool", "", nil, made},
		{"record", "volumes/.new-pvc-1/volume.json", []call{}, made},
		{"data", "volumes/.new-pvc-1/data", []call{}, made},
		{"volume", "volumes/.new-pvc-1", []call{}, made},
		{"commit", "volumes", []call{}, made},
		{"larger record", "volumes/pvc-1/.volume.json.new", []call{made}, grown},
		{"expansion", "volumes/pvc-1", []call{made}, grown},
		{"deletion", "volumes", []call{kept}, removed},
		{"trash", "trash", []call{kept}, removed},
		{"undeletion from", "trash", []call{kept, removed}, back},
		{"undeletion to", "volumes", []call{kept, removed}, back},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := trace(t, t.TempDir())
			if test.before != nil {
				n.runTraced(t)
				for _, c := range test.before {
					n.must(t, c)
				}
				n.Signal(t, syscall.SIGTERM)
				n.follow(t)
			}
			n.ignored = filepath.Join(n.Base, test.path)
			n.runTraced(t)
			if err := n.do(test.asked); err != nil {
				t.Fatal(err)
			}
			n.follow(t)
			if len(n.broken()) == 0 {
				t.Errorf("nobody misses the sync of %s", n.ignored)
			}
		})
	}
}
