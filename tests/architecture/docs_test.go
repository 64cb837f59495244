package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDocsNameNoOtherMetrics guards against those that are gone, or misspelt.
func TestDocsNameNoOtherMetrics(t *testing.T) {
	known := pickFrom(t, literals(metric), "pkg/metrics", "pkg/controller")
	for _, name := range regexp.MustCompile(`\bhostdir_[a-z_]+`).FindAllString(docs(t, ""), -1) {
		if !slices.Contains(known, strings.TrimSuffix(name, "_count")) {
			t.Errorf("docs name the metric %s, which there is not", name)
		}
	}
}

// TestDocsNameNoOtherCauses holds docs/reference/why.md to the order of the table as well.
func TestDocsNameNoOtherCauses(t *testing.T) {
	var named, table []string
	for _, row := range regexp.MustCompile(`(?m)^\| .([A-Z][a-z]+[A-Za-z]*). \|`).FindAllStringSubmatch(docs(t, "reference/why.md"), -1) {
		named = append(named, row[1])
	}
	for _, p := range packages(t) {
		if p.name() != "pkg/cli/why" {
			continue
		}
		rows := regexp.MustCompile(`(?m)^\t\{([A-Z][A-Za-z]+), `).FindAllStringSubmatch(read(t, filepath.Join(p.Dir, "causes.go")), -1)
		for _, row := range rows {
			table = append(table, row[1])
		}
	}
	if len(table) < 2 || !slices.Equal(named, table) {
		t.Errorf("docs/reference/why.md explains the causes %q, those of the table are %q", named, table)
	}
}

var metric = regexp.MustCompile(`^hostdir_[a-z_]+$`)

// docs returns a page, or with "" all of them.
func docs(t *testing.T, page string) string {
	t.Helper()
	if page != "" {
		return read(t, filepath.Join("../../docs", page))
	}
	var text strings.Builder
	err := filepath.WalkDir("../../docs", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			text.WriteString(read(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// pickFrom picks names from the code of trees of packages, without their tests.
func pickFrom(t *testing.T, pick func(ast.Node) []string, names ...string) []string {
	t.Helper()
	var found []string
	for _, p := range packages(t) {
		if !within(p.name(), names...) {
			continue
		}
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				found = append(found, pick(n)...)
				return true
			})
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// literals picks strings that match.
func literals(pattern *regexp.Regexp) func(ast.Node) []string {
	return func(n ast.Node) []string {
		if text, ok := text(n); ok && pattern.MatchString(text) {
			return []string{text}
		}
		return nil
	}
}

// constants picks the values of constants of a type.
func constants(typeName string) func(ast.Node) []string {
	return func(n ast.Node) (found []string) {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !isNamed(spec.Type, typeName) {
			return nil
		}
		for _, value := range spec.Values {
			if text, ok := text(value); ok {
				found = append(found, text)
			}
		}
		return found
	}
}

// reasons picks the second field of what is a Problem: its reason.
func reasons(n ast.Node) []string {
	problem, ok := n.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	problems := []ast.Expr{problem}
	if list, ok := problem.Type.(*ast.ArrayType); ok && isNamed(list.Elt, "Problem") {
		problems = problem.Elts
	} else if !isNamed(problem.Type, "Problem") {
		return nil
	}
	var found []string
	for _, p := range problems {
		if fields, ok := p.(*ast.CompositeLit); ok && len(fields.Elts) > 1 {
			if text, ok := text(fields.Elts[1]); ok {
				found = append(found, text)
			}
		}
	}
	return found
}

func isNamed(e ast.Expr, name string) bool {
	ident, ok := e.(*ast.Ident)
	return ok && ident.Name == name
}

func text(n ast.Node) (string, bool) {
	literal, ok := n.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}
