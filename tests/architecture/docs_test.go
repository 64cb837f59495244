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

// visible is what users see of the code, and where docs/ must name it.
var visible = []struct {
	name string
	// packages are where the code is, and all below them; page explains it, or with
	// "" any page.
	packages []string
	page     string
	// pick returns the names in a piece of code.
	pick func(ast.Node) []string
}{
	{"metrics", []string{"pkg/metrics", "pkg/controller"}, "reference/operating.md", literals(metric)},
	{"kinds of findings", []string{"pkg/store"}, "reference/operating.md", constants("Kind")},
	{"reasons of disks", []string{"pkg/disk"}, "reference/operating.md", constants("Reason")},
	{"reasons of health", []string{"pkg/store"}, "reference/operating.md", reasons},
	{"states of disks", []string{"pkg/admin"}, "reference/operating.md", constants("DiskState")},
	{"flags of the programs", []string{"pkg/program"}, "reference/configuration.md", flags},
	{"flags of hostdir and its commands", []string{"cmd/hostdir"}, "", flags},
	{"flags of kubectl hostdir", []string{"pkg/cli"}, "", flags},
	{"flags of hostdir-controller", []string{"cmd/hostdir-controller", "pkg/controller"}, "reference/configuration.md", flags},
	{"values of quota", []string{"pkg/config"}, "reference/configuration.md", constants("QuotaPolicy")},
	{"causes of why", []string{"pkg/cli/why"}, "reference/why.md", constants("Name")},
	{"fields of the configuration", []string{"pkg/config"}, "reference/configuration.md", configFields},
}

// TestDocsNameWhatUsersSee looks on docs' pages for all that the code shows to
// users.
func TestDocsNameWhatUsersSee(t *testing.T) {
	for _, v := range visible {
		t.Run(v.name, func(t *testing.T) {
			text := docs(t, v.page)
			found := pickFrom(t, v.pick, v.packages...)
			if len(found) < 2 {
				t.Fatalf("only %q are found in %q: the test proves nothing", found, v.packages)
			}
			for _, name := range found {
				if !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "."+name+"`") {
					t.Errorf("docs/%s does not name `%s`: users will look for it there", v.page, name)
				}
			}
		})
	}
}

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

// flags picks the names of flags where they are defined, with their dashes.
func flags(n ast.Node) []string {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return nil
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !regexp.MustCompile(`^(String|Bool|Int|Duration|Float32)(Var)?P?$`).MatchString(method.Sel.Name) {
		return nil
	}
	for _, argument := range call.Args[:min(2, len(call.Args))] {
		if name, ok := text(argument); ok {
			return []string{"--" + name}
		}
	}
	return nil
}

// configFields picks the fields of what the configuration file holds.
func configFields(n ast.Node) (found []string) {
	spec, ok := n.(*ast.TypeSpec)
	if !ok || !slices.Contains([]string{"Config", "NodeConfig", "Pool", "Class"}, spec.Name.Name) {
		return nil
	}
	for _, field := range spec.Type.(*ast.StructType).Fields.List {
		tag, _ := strconv.Unquote(field.Tag.Value)
		name, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(tag, `json:"`), `"`), ",")
		found = append(found, name)
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
