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
	h := t.toBeKilled()
	cut := func(write int, arguments ...string) bool {
		return h.cutAt(write, func(command *os.Process) bool { return command.Kill() == nil }, arguments...)
	}
	imports, undoes := 0, 0
	for write, more := 1, true; more; write++ {
		more = false
		if cut(write) {
			imports, more = write, true
		}
		if cut(write, "--undo") { // also if import has no such write: the next one needs it undone
			undoes, more = write, true
		}
	}
	if imports < 5 || undoes < 5 {
		t.Errorf("import was cut at %d writes, and --undo at %d", imports, undoes)
	}
	h.ends()
}

// importOutlivesPlugin kills the plugin under an import, and under its undoing.
func importOutlivesPlugin(t *test) {
	h := t.toBeKilled()
	kill := func(*os.Process) bool {
		p := t.plugin(t, t.nodes[0])
		restarts := restartsOf(p)
		t.onNode(t, t.nodes[0], "sh", "-c", "kill -KILL $(pgrep -o -x hostdir)") // its children have its name as well
		_, err := observe(t.cluster, pods, query{namespace: home, fields: "metadata.name=" + p.Name}, one(func(p *corev1.Pod) error {
			if restartsOf(p) == restarts {
				return errors.New("it has not been started again")
			}
			return running(p)
		}))
		if err != nil {
			t.Errorf("the plugin was killed: %v", err)
		}
		return false
	}
	// The first writes reach the nodes; the next marks the claim, right before its node gets the order.
	marked := len(t.nodes) + 1
	for _, arguments := range [][]string{nil, {"--undo"}} {
		if !h.cutAt(marked, kill, arguments...) {
			t.Errorf("import %q ended well without a plugin", arguments)
		}
	}
	h.ends()
}

func restartsOf(p *corev1.Pod) (restarts int32) {
	for _, c := range p.Status.ContainerStatuses {
		restarts += c.RestartCount
	}
	return restarts
}

// killed is an import of a hand-written volume that is cut short.
type killed struct {
	*handWritten
	*killable
	before map[string]string // what the replicas have
	inode  string            // of the directory: wherever a rename leaves it
	files  string            // what is in it
}

func (t *test) toBeKilled() *killed {
	t.Helper()
	h := t.handWritten()
	k := &killed{handWritten: h, killable: t.killable(), before: h.fill(), inode: t.onNode(t, t.nodes[0], "stat", "--format=%i", h.dir(0))}
	h.stop()
	k.files = k.list()
	return k
}

// list lists all that is in the directory, with its contents.
func (k *killed) list() string {
	return k.onNode(k, k.nodes[0], "sh", "-c", "cd $(find "+oldDirs+" "+pool+" -xdev -inum "+k.inode+" -type d) && "+
		"find . -printf '%p %y %m %U:%G %s %n %T@\n' | sort && find . -type f -exec md5sum {} + | sort")
}

// cutAt has a command cut short at a write, and then gives it again. It reports whether
// there was something to cut.
func (k *killed) cutAt(write int, cut func(*os.Process) bool, arguments ...string) bool {
	k.Helper()
	arguments = append([]string{"import", "pv/" + k.pv(0), "--namespace", k.namespace, "--yes"}, arguments...)
	wasCut := k.killable.cutAt(write, cut, arguments...)
	if now := k.list(); now != k.files {
		k.Fatalf("%q was cut at write %d, and these files are there:\n%s\nbefore:\n%s", arguments, write, now, k.files)
	}
	if wasCut {
		k.kubectlHostdir(arguments...)
	}
	undone := slices.Contains(arguments, "--undo")
	if pv := k.volumeOf(k.claim(0)); (pv.Spec.CSI == nil) != undone {
		k.Fatalf("%q, which was cut at write %d and given again, leaves %+v", arguments, write, pv.Spec)
	}
	return wasCut
}

// ends brings the volumes along for good, and has nothing left of them.
func (k *killed) ends() {
	k.Helper()
	k.same("imported and undone,", k.before)
	k.stop()
	k.mustCommand("--yes")
	k.mustCommand("--finish", "--yes")
	k.same("imported in the end,", k.before)
	k.goes()
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
