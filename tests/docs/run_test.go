//go:build e2e

package docs

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write into the pages what their commands print, where they show something else")

// patience is how long what a page shows may take to come true.
const patience = time.Minute

// standIns are what the test's cluster has in place of the reader's registry.
var standIns = strings.NewReplacer(
	"registry.example.com/hostdir", "localhost/hostdir/hostdir",
	"registry.inside/hostdir", "localhost/hostdir/hostdir",
	"registry.inside/sig-storage", "registry.k8s.io/sig-storage",
	"tag: 0.1.0", "tag: dev",
	"image.tag=0.1.0", "image.tag=dev",
)

// looks are commands that change nothing: what a reader who types sees at once may take
// a moment longer.
var looks = regexp.MustCompile(`^kubectl (-n \S+ )?(get|events|exec) |^kubectl hostdir( path .*)?$`)

// install is what pages take for granted that do not say it themselves.
const install = "helm upgrade --install hostdir deploy/helm/hostdir --namespace hostdir-system --create-namespace --reset-values --wait --timeout 3m" +
	" --set image.repository=localhost/hostdir/hostdir --set image.tag=dev"

// TestPages runs the commands of all pages, one page after the other.
func TestPages(t *testing.T) {
	if os.Getenv("HOSTDIR_CLUSTER_BIN") == "" {
		t.Fatal("no cluster: run this with `bin/cluster run -- go test -tags e2e ./tests/docs`")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-ldflags", "-X main.version=dev", "-o", bin, "./cmd/kubectl-hostdir") // that of the image
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, p := range pages(t) {
		if !slices.ContainsFunc(p.blocks, func(b block) bool { return b.run }) {
			continue
		}
		if strings.HasSuffix(p.path, ".ko.md") && !*update {
			continue // TestTutorialsAreOne holds it to what the English one shows
		}
		name := filepath.Base(filepath.Dir(p.path)) + "/" + filepath.Base(p.path)
		t.Run(name, func(t *testing.T) {
			s := open(t, p, bin)
			s.run()
			if *update {
				s.rewrite()
			}
		})
	}
}

// A session is somebody who follows a page.
type session struct {
	*testing.T
	page    *page
	dir     string // in which commands are run
	matcher *matcher
	env     []string
	printed map[int][]string // in place of what the page shows, by command.from
}

// open begins a page, with the plugin of kubectl in the folder bin.
func open(t *testing.T, p *page, bin string) *session {
	t.Helper()
	s := &session{T: t, page: p, dir: checkout(t), matcher: newMatcher(), printed: map[int][]string{}, env: append(os.Environ(),
		"PATH="+bin+":"+os.Getenv("PATH"), "IMAGE=localhost/hostdir/hostdir", "TAG=dev", "NO_COLOR=1")}
	t.Cleanup(s.tidy)
	if installs := slices.ContainsFunc(p.blocks, func(b block) bool {
		return b.run && strings.Contains(b.commands[0].text, "helm install hostdir")
	}); installs {
		s.must("helm uninstall hostdir --namespace hostdir-system --ignore-not-found --wait --timeout 3m")
	} else {
		s.must(install)
	}
	return s
}

// checkout is a folder that has what commands read of the repository, and in which they
// may leave files.
func checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	from, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"deploy", "examples"} {
		if err := os.Symlink(filepath.Join(from, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (s *session) run() {
	for _, b := range s.page.blocks {
		if b.file != "" {
			s.write(b)
		}
		if !b.run {
			continue
		}
		if b.after != "" {
			s.must(b.after)
		}
		for _, c := range b.commands {
			s.follow(b, c)
		}
	}
}

// write makes the file that a block is.
func (s *session) write(b block) {
	if err := os.WriteFile(filepath.Join(s.dir, b.file), []byte(standIns.Replace(b.commands[0].text)), 0o644); err != nil {
		s.Fatal(err)
	}
}

// follow runs a command, and compares what it prints.
func (s *session) follow(b block, c command) {
	s.Helper()
	began := time.Now()
	for {
		out, err := s.bash(standIns.Replace(c.text))
		lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
		var differs error
		if c.shows {
			differs = s.matcher.match(s.page.output(c), lines)
		}
		if err == nil && differs == nil {
			s.Logf("%s (%.1f s)\n%s", c.text, time.Since(began).Seconds(), out)
			return
		}
		if looks.MatchString(c.text) && time.Since(began) < patience && !*update {
			time.Sleep(time.Second)
			continue
		}
		if err != nil {
			s.Fatalf("%s:%d: %s: %v\n%s", s.page.path, b.line, c.text, err, out)
		}
		if *update {
			s.printed[c.from] = lines
			return
		}
		s.Errorf("%s:%d: %s\n%v; it prints\n%s\nand the page shows\n%s", s.page.path, c.from, c.text, differs, out, strings.Join(s.page.output(c), "\n"))
		return
	}
}

// bash runs commands, as somebody who says yes.
func (s *session) bash(commands string) (string, error) {
	shell := exec.Command("timeout", "300", "bash", "-euo", "pipefail", "-c", commands)
	shell.Dir, shell.Env, shell.Stdin = s.dir, s.env, strings.NewReader("y\n")
	out, err := shell.CombinedOutput()
	return string(out), err
}

func (s *session) must(commands string) {
	s.Helper()
	if out, err := s.bash(commands); err != nil {
		s.Fatalf("%s: %v\n%s", commands, err, out)
	}
}

// tidy removes what the page has left, so that the next begins with an empty cluster.
func (s *session) tidy() {
	if s.Failed() {
		for _, look := range []string{"get pods,pvc,pv -A -o wide", "get events -A --sort-by=.lastTimestamp"} {
			out, _ := s.bash("kubectl " + look)
			s.Logf("kubectl %s\n%s", look, out)
		}
	}
	if listed, _ := s.bash("helm status hostdir --namespace hostdir-system"); !strings.Contains(listed, "STATUS: deployed") {
		s.must(install) // directories go only with a plugin
	}
	s.must("kubectl -n hostdir-system scale deployment hostdir-controller --replicas=1") // which a page may have ended
	s.must("kubectl delete statefulset,service,cronjob,job,pod,pvc --all --wait=false; kubectl delete namespace by-hand --ignore-not-found; kubectl delete storageclass hostdir-limited --ignore-not-found")
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		left, err := s.bash("kubectl get pv -o name")
		if err == nil && left == "" {
			return
		}
		if time.Now().After(deadline) {
			s.Errorf("%s leaves behind: %s", s.page.path, left)
			return
		}
		for pv := range strings.FieldsSeq(left) {
			// Some go meanwhile, and kubelet removes no directories of people.
			s.bash(fmt.Sprintf(`kubectl patch %s -p '{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}'
				[ -n "$(kubectl get %[1]s -o 'jsonpath={.spec.csi}')" ] || kubectl delete --wait=false %[1]s`, pv))
		}
	}
}

// rewrite puts into the page what was printed.
func (s *session) rewrite() {
	var lines []string
	at := 0
	for _, b := range s.page.blocks {
		for _, c := range b.commands {
			printed, differs := s.printed[c.from]
			if !differs {
				continue
			}
			lines = append(lines, s.page.lines[at:c.from]...)
			for _, line := range printed {
				lines = append(lines, strings.TrimRight(c.indent+line, " "))
			}
			at = c.to
		}
	}
	lines = append(lines, s.page.lines[at:]...)
	if err := os.WriteFile(s.page.path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		s.Fatal(err)
	}
}
