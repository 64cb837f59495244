package docs

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/pkg/cli"
)

// root is this repository, from which commands are run.
const root = "../.."

// pages are all that the tests are about.
func pages(t *testing.T) (all []*page) {
	t.Helper()
	for _, pattern := range []string{"docs/tutorial/*.md", "docs/how-to/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("there are no pages %s (%v)", pattern, err)
		}
		for _, file := range files {
			p, err := readPage(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
	}
	return all
}

// placeholder is what a reader has to put in.
var placeholder = regexp.MustCompile(`(?:^|[ /=:])(NAME|NAMESPACE|CLAIM|PV|PERSISTENTVOLUME|NODE|POD|NEW|CLONE|FIRST|SELECTOR)([^\w:]|$)`)

// TestBlocksAreMarked holds that each block of commands says whether it is run, that a
// block which is run can be run as it is, and that any other says why it is not.
func TestBlocksAreMarked(t *testing.T) {
	run := map[string]int{}
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			switch {
			case !b.marked():
				t.Errorf("%s:%d: say <!-- run --> or <!-- not run: REASON --> before it", p.path, b.line)
			case b.notRun != "" && len(strings.Fields(b.notRun)) < 3:
				t.Errorf("%s:%d: %q is no reason", p.path, b.line, b.notRun)
			}
			if !b.run {
				continue
			}
			run[filepath.Base(filepath.Dir(p.path))]++
			for _, c := range b.commands {
				if left := placeholder.FindStringSubmatch(c.text); left != nil {
					t.Errorf("%s:%d: nobody can run it as it is, with %s", p.path, b.line, left[1])
				}
				if c.text == "..." {
					t.Errorf("%s:%d: a command is left out", p.path, b.line)
				}
				// Others do what they do to the machine of whoever runs the tests.
				if program, _, _ := strings.Cut(c.text, " "); program != "kubectl" && program != "helm" {
					t.Errorf("%s:%d: %s is nothing that a test runs of a page", p.path, b.line, program)
				}
			}
		}
	}
	if run["tutorial"] == 0 || run["how-to"] == 0 {
		t.Errorf("so many blocks are run: %v", run)
	}
}

// TestTutorialsAreOne holds that translations have the same commands, with the same
// output, in the same order.
func TestTutorialsAreOne(t *testing.T) {
	english, err := readPage(filepath.Join(root, "docs/tutorial/statefulset.md"))
	if err != nil {
		t.Fatal(err)
	}
	korean, err := readPage(filepath.Join(root, "docs/tutorial/statefulset.ko.md"))
	if err != nil {
		t.Fatal(err)
	}
	if len(english.blocks) != len(korean.blocks) {
		t.Fatalf("the tutorial has %d blocks in English, %d in Korean", len(english.blocks), len(korean.blocks))
	}
	for i, e := range english.blocks {
		k := korean.blocks[i]
		if e.run != k.run || e.after != k.after || len(e.commands) != len(k.commands) {
			t.Errorf("the blocks of lines %d and %d are not run alike", e.line, k.line)
			continue
		}
		for j, c := range e.commands {
			// Remarks are translated.
			if remark.ReplaceAllString(c.text, "") != remark.ReplaceAllString(k.commands[j].text, "") {
				t.Errorf("line %d has the command %q, line %d of the Korean page %q", e.line, c.text, k.line, k.commands[j].text)
			}
			if !slices.Equal(english.output(c), korean.output(k.commands[j])) {
				t.Errorf("%q shows different output on lines %d and %d", c.text, e.line, k.line)
			}
		}
	}
}

var remark = regexp.MustCompile(`(?m) *(^|  )# .*$`)

var (
	word       = regexp.MustCompile(`[^\s'"]+`)
	ownFile    = regexp.MustCompile(`^(examples|deploy|docs|tests)/`)
	plugin     = regexp.MustCompile(`kubectl hostdir((?: [a-z][a-z-]*)*)`)
	node       = regexp.MustCompile(`/hostdir((?: [a-z][a-z-]*)+)`)
	longFlag   = regexp.MustCompile(`--[a-z][a-z-]*`)
	chartValue = regexp.MustCompile(`--set(?:-string)?[ =]['"]?([A-Za-z][\w.\[\]]*)=`)
	separators = regexp.MustCompile(`&&|\|\||[|;\n]`)
)

// TestCommandsNameWhatExists holds this of files, of flags of hostdir and its plugin of
// kubectl, and of values of the chart.
func TestCommandsNameWhatExists(t *testing.T) {
	values := chartValues(t)
	flags := map[string]string{}
	found := map[string]int{}
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.file != "" {
				continue
			}
			complain := func(format string, args ...any) {
				t.Helper()
				t.Errorf("%s:%d: "+format, append([]any{p.path, b.line}, args...)...)
			}
			for _, c := range b.commands {
				text := strings.ReplaceAll(c.text, "\\\n", " ")
				text = remark.ReplaceAllString(text, "")
				for _, m := range chartValue.FindAllStringSubmatch(text, -1) {
					found["values"]++
					if !hasValue(values, m[1]) {
						complain("the chart has no value %s", m[1])
					}
				}
				for _, w := range word.FindAllString(text, -1) {
					if ownFile.MatchString(w) {
						found["files"]++
						if _, err := os.Stat(filepath.Join(root, w)); err != nil {
							complain("there is no %s", w)
						}
					}
				}
				for _, one := range separators.Split(text, -1) {
					help := ""
					if m := plugin.FindStringSubmatch(one); m != nil {
						found["calls of kubectl hostdir"]++
						if help = pluginHelp(m[1], flags); help == "" {
							complain("there is no kubectl hostdir%s", m[1])
							continue
						}
						one, _, _ = strings.Cut(one, " -- ") // others' flags
					} else if m := node.FindStringSubmatch(one); m != nil {
						found["calls of hostdir"]++
						_, one, _ = strings.Cut(one, "/hostdir")
						help = nodeHelp(t, m[1], flags)
					} else {
						continue
					}
					for _, flag := range longFlag.FindAllString(one, -1) {
						if !regexp.MustCompile(flag + `\b`).MatchString(help) {
							complain("%q: there is no flag %s", strings.TrimSpace(one), flag)
						}
					}
				}
			}
		}
	}
	for _, what := range []string{"values", "files", "calls of kubectl hostdir", "calls of hostdir"} {
		if found[what] == 0 {
			t.Errorf("no %s were found: the test proves nothing about them", what)
		}
	}
}

// pluginHelp is what the plugin of kubectl says of a command whose arguments may follow,
// "" if there is none.
func pluginHelp(words string, known map[string]string) string {
	for command := strings.Fields(words); ; command = command[:len(command)-1] {
		name := strings.Join(append([]string{"kubectl hostdir"}, command...), " ")
		if _, asked := known[name]; !asked {
			var out bytes.Buffer
			cli.Run(context.Background(), "test", genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &out}, append(command, "--help"))
			if strings.Contains(out.String(), "Usage:\n  "+name+" ") {
				known[name] = out.String()
			} else {
				known[name] = ""
			}
		}
		if known[name] != "" || len(command) == 0 {
			if len(command) == 0 && words != "" {
				return "" // the root stands for no command
			}
			return known[name]
		}
	}
}

// nodeHelp is what hostdir says of one of its commands.
func nodeHelp(t *testing.T, words string, known map[string]string) string {
	t.Helper()
	name := "hostdir" + words
	if known[name] == "" {
		command := exec.Command("go", append([]string{"run", "./cmd/hostdir"}, append(strings.Fields(words), "--help")...)...)
		command.Dir = root
		help, err := command.CombinedOutput()
		if err != nil {
			t.Errorf("%s --help: %v\n%s", name, err, help)
		}
		known[name] = string(help)
	}
	return known[name]
}

func chartValues(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "deploy/helm/hostdir/values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// hasValue reports whether the chart's values have a.b[0].c, as far as they say: what is
// in a list, or in a map that is empty, is the schema's.
func hasValue(values map[string]any, name string) bool {
	for key := range strings.SplitSeq(name, ".") {
		key, _, inList := strings.Cut(key, "[")
		value, ok := values[key]
		if !ok {
			return false
		}
		values, ok = value.(map[string]any)
		if !ok || inList || len(values) == 0 {
			return true
		}
	}
	return true
}
