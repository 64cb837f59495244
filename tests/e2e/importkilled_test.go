//go:build e2e

package e2e

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// importsAreKilled kills `kubectl hostdir import`, and then --undo, when the API server has
// answered its first write, its second, and so on, and when it has reached the node. The
// files are there all the while, and the same command ends what was begun.
func importsAreKilled(t *test) {
	t.handWrittenIsKilled(theCommand)
}

// copiesAreKilled does that to an import that copies.
func copiesAreKilled(t *test) {
	t.handWrittenIsKilled(theCommand, "--pool=limited")
	t.emptyTrash() // an undone copy stays there for a day
}

// pluginIsKilled kills the plugin at each of these steps instead.
func pluginIsKilled(t *test) {
	t.handWrittenIsKilled(t.thePlugin())
}

// pluginIsKilledCopying does that while it copies.
func pluginIsKilledCopying(t *test) {
	t.handWrittenIsKilled(t.thePlugin(), "--pool=limited")
	t.emptyTrash()
}

func (t *test) handWrittenIsKilled(by blow, to ...string) {
	t.Helper()
	h := t.handWritten()
	before := h.fill()
	if len(to) > 0 {
		t.exec(h.pod(0), "sh", "-c", "mkdir /data/many; cd /data/many; for f in $(seq 2000); do echo $f > $f; done")
	}
	inode := t.onNode(t, t.nodes[0], "stat", "--format=%i", h.dir(0))
	h.stop()
	k := &killed{oldSet: h.oldSet, what: append([]string{"pv/" + h.pv(0)}, to...), claims: []string{h.claim(0)}, by: by, files: func() string {
		return t.inMoved(t.nodes[0], oldDirs, inode, `find . -printf '%p %y %m %U:%G %s %n %T@\n' | sort && find . -type f -exec md5sum {} + | sort`)
	}}
	k.atEachWrite()
	h.same("imported and undone,", before)
	h.stop()
	h.mustCommand(append(to, "--yes")...)
	h.mustCommand("--finish", "--yes")
	h.same("imported in the end,", before)
	h.goes()
}

// inMoved runs a script in a directory of this inode, wherever a rename between root and the
// pool has left it.
func (t *test) inMoved(node, root, inode, script string) string {
	t.Helper()
	return t.onNode(t, node, "sh", "-c", "cd $(find "+root+" "+pool+" -xdev -inum "+inode+" -type d) && "+script)
}

// killed is an import that is cut short again and again.
type killed struct {
	*oldSet
	what   []string      // is imported, and where to
	claims []string      // of it
	by     blow          // cuts it short
	files  func() string // what is in the old directories, wherever those are
}

// A blow cuts a command short.
type blow struct {
	falls  func(command *os.Process) (ends bool) // reports whether it has killed the command
	passes func()                                // waits until the same command can be given again
}

var theCommand = blow{
	falls:  func(command *os.Process) bool { return command.Kill() == nil },
	passes: func() {},
}

// thePlugin is that of the first node. It is started anew as another pod: kubelet would
// wait longer and longer until it starts the same one again.
func (t *test) thePlugin() blow {
	var hit *corev1.Pod
	return blow{
		falls: func(*os.Process) bool {
			hit = t.plugin(t, t.nodes[0])
			t.onNode(t, t.nodes[0], "sh", "-c", "kill -KILL $(pgrep -o -x hostdir)") // its children have its name as well
			return false
		},
		passes: func() {
			run(t, "kubectl", "delete", "pod", hit.Name, "--namespace", home, "--force", "--wait=false")
			await(t, "another plugin runs", pods, query{namespace: home, labels: plugins.labels, fields: "spec.nodeName=" + t.nodes[0]}, one(func(p *corev1.Pod) error {
				if p.UID == hit.UID {
					return errors.New("it is the same one yet")
				}
				return running(p)
			}))
		},
	}
}

// atEachWrite cuts an import short at each of its writes, and its undoing, and gives the
// same command again.
func (k *killed) atEachWrite() {
	k.Helper()
	to := k.killable()
	files := k.files()
	cutAt := func(write int, arguments ...string) bool {
		arguments = append(append([]string{"import", "--namespace", k.namespace, "--yes"}, k.what...), arguments...)
		wasCut := to.cutAt(write, k.by.falls, arguments...)
		if now := k.files(); now != files {
			k.Fatalf("%q was cut at write %d, and these files are there:\n%s\nbefore:\n%s", arguments, write, now, files)
		}
		if wasCut {
			k.by.passes()
			k.kubectlHostdir(arguments...)
		}
		for _, claim := range k.claims {
			if pv := k.volumeOf(claim); (pv.Spec.CSI == nil) != slices.Contains(arguments, "--undo") {
				k.Fatalf("%q, which was cut at write %d and given again, leaves %+v", arguments, write, pv.Spec)
			}
		}
		return wasCut
	}
	imports, undoes := 0, 0
	for write, more := 1, true; more; write++ {
		more = false
		if cutAt(write) {
			imports, more = write, true
		}
		if cutAt(write, "--undo") { // also if import has no such write: the next one needs it undone
			undoes, more = write, true
		}
	}
	k.Logf("import was cut at %d writes, and --undo at %d", imports, undoes)
	if imports < 5 || undoes < 5 {
		k.Error("these are not all")
	}
}

// A killable is `kubectl hostdir` in a process of its own, that talks to the API server
// through a proxy.
type killable struct {
	t      *test
	server string

	mu     sync.Mutex
	at     int // the write at which it is cut short
	writes int
	cut    func() (ends bool)
	wasCut bool
}

func (t *test) killable() *killable {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	t.check(err)
	config.NextProtos = []string{"http/1.1"} // others cannot be upgraded, as exec has to be
	transport, err := rest.TransportFor(config)
	t.check(err)
	server, err := url.Parse(config.Host)
	t.check(err)
	k := &killable{t: t}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(server) },
		Transport:      transport,
		ModifyResponse: k.answered,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	})
	t.Cleanup(front.Close)
	k.server = front.URL
	return k
}

// answered counts writes, and connections to nodes. One that is cut short does not hear of
// the write at which it is.
func (k *killable) answered(response *http.Response) error {
	r := response.Request
	if r.Method == http.MethodGet && !strings.HasSuffix(r.URL.Path, "/exec") {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.writes++; k.writes != k.at {
		return nil
	}
	k.wasCut = true
	if k.cut() {
		return errors.New("nobody hears it")
	}
	return nil
}

// cutAt runs the command and reports whether it was cut short at this write: else it has
// ended well. cut reports whether it has killed the command.
func (k *killable) cutAt(write int, cut func(*os.Process) bool, arguments ...string) bool {
	k.t.Helper()
	cmd := exec.Command(filepath.Join(k.t.repository, "bin/kubectl-hostdir"), append(arguments, "--server", k.server)...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	k.mu.Lock()
	k.t.check(cmd.Start())
	k.at, k.writes, k.wasCut, k.cut = write, 0, false, func() bool { return cut(cmd.Process) }
	k.mu.Unlock()
	err := cmd.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.wasCut && err != nil {
		k.t.Fatalf("kubectl hostdir %q: %v\n%s", arguments, err, &said)
	}
	if k.wasCut && err == nil {
		k.t.Logf("kubectl hostdir %q ended well, although it was cut short at write %d", arguments, write)
	}
	return k.wasCut
}
