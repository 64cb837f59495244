package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// enders are the functions that end the process, by the import path of their
// package. A name stands for all that begin with it: Fatal for Fatalf.
var enders = map[string][]string{
	"k8s.io/klog/v2": {"Fatal", "Exit", "FlushAndExit"},
	"log":            {"Fatal"},
	"os":             {"Exit"},
	"syscall":        {"Exit"},
}

// TestOnlyProgramsEnd holds pkg to returning its errors: only main knows what
// else has to be put in order before the end.
func TestOnlyProgramsEnd(t *testing.T) {
	for _, p := range packages(t) {
		if !within(p.name(), "pkg") {
			continue
		}
		for _, name := range p.GoFiles {
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, call := range endingCalls(file) {
				t.Errorf("%s ends the process: return an error, main ends", files.Position(call.Pos()))
			}
		}
	}
}

// endingCalls finds where a file names a function of enders.
func endingCalls(file *ast.File) []ast.Node {
	imports := map[string]string{} // path by local name
	for _, spec := range file.Imports {
		importPath, _ := strconv.Unquote(spec.Path.Value) // the parser has read it
		name := path.Base(strings.TrimSuffix(importPath, "/v2"))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imports[name] = importPath
	}
	var found []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := selector.X.(*ast.Ident)
		if !ok {
			return true
		}
		begins := func(name string) bool { return strings.HasPrefix(selector.Sel.Name, name) }
		if slices.ContainsFunc(enders[imports[pkg.Name]], begins) {
			found = append(found, n)
		}
		return true
	})
	return found
}

func TestEndingCalls(t *testing.T) {
	for _, test := range []struct {
		name, imports, statement string
		want                     int
	}{
		{"os.Exit", `"os"`, "os.Exit(1)", 1},
		{"klog.Fatalf", `"k8s.io/klog/v2"`, `klog.Fatalf("")`, 1},
		{"klog.FlushAndExit under another name", `l "k8s.io/klog/v2"`, "l.FlushAndExit(0, 1)", 1},
		{"log.Fatal as a value", `"log"`, "defer run(log.Fatal)", 1},
		{"a method called Exit", `"os"`, "x.Exit(1)", 0},
		{"os.Remove", `"os"`, `os.Remove("")`, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nimport "+test.imports+"\nfunc f() { "+test.statement+" }", 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(endingCalls(file)); got != test.want {
				t.Errorf("found %d calls that end the process, want %d", got, test.want)
			}
		})
	}
}

// TestEveryPackageHasDoc asks each package for one doc comment that a newcomer
// can start from.
func TestEveryPackageHasDoc(t *testing.T) {
	for _, p := range packages(t) {
		var documented []string
		files := slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles)
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if doc := file.Doc.Text(); doc != "" {
				documented = append(documented, name)
				if want := docBegins(file.Name.Name, p); !strings.HasPrefix(doc, want) {
					t.Errorf("%s/%s: the doc comment does not begin with %q", p.name(), name, want)
				}
			}
		}
		if len(documented) != 1 {
			t.Errorf("%s has %d doc comments %q, want one", p.name(), len(documented), documented)
		}
	}
}

func docBegins(packageName string, p goPackage) string {
	if packageName == "main" {
		return "Command " + path.Base(p.name())
	}
	return "Package " + packageName + " "
}
