package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/hostdir/hostdir"

// goPackage is what `go list` says of a package.
type goPackage struct {
	ImportPath   string
	Dir          string
	Imports      []string // by its own code, without tests
	Deps         []string // all that Imports lead to
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
}

// name is the package's path in the module.
func (p goPackage) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

var list = sync.OnceValues(func() ([]goPackage, error) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,Deps,GoFiles,TestGoFiles,XTestGoFiles", module+"/...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = errors.New(string(exit.Stderr))
		}
		return nil, err
	}
	var all []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		err := decoder.Decode(&p)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

// packages are all packages of the module.
func packages(t *testing.T) []goPackage {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if !slices.ContainsFunc(all, func(p goPackage) bool { return p.name() == "pkg/store" }) {
		t.Fatal("go list does not list pkg/store: the tests would prove nothing")
	}
	return all
}

// within reports whether an import path is one of the trees or lies below one.
func within(importPath string, trees ...string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool {
		return importPath == tree || strings.HasPrefix(importPath, tree+"/")
	})
}
