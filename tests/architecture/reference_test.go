package architecture

import (
	"fmt"
	"go/ast"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/pkg/cli"
	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/reference"
)

// tables are the tables of docs/reference, and what of the code they tell: all of it, and
// nothing else. Flags are compared where their sets are: in cmd/hostdir,
// cmd/hostdir-controller and pkg/cli.
var tables = []struct {
	// page, heading and title of the first column are where the table is.
	page, heading, title string
	code                 func(t *testing.T) []string
}{
	{"metrics.md", "", "Metric", func(t *testing.T) []string {
		return pickFrom(t, literals(metric), "pkg/metrics", "pkg/controller")
	}},
	{"metrics.md", "Reasons", "Reason", func(t *testing.T) []string { return pickFrom(t, constants("Reason"), "pkg/disk") }},
	{"metrics.md", "Health", "Reason", func(t *testing.T) []string { return pickFrom(t, reasons, "pkg/store") }},
	{"commands.md", "`hostdir check`: what is wrong, and what to do", "Kind", func(t *testing.T) []string {
		return pickFrom(t, constants("Kind"), "pkg/store")
	}},
	{"events.md", "", "Reason", eventReasons},
	{"configuration.md", "Pools: the configuration file", "Field", func(t *testing.T) []string {
		return fieldsOf(reflect.TypeFor[config.Config](), "")
	}},
	{"configuration.md", "StorageClass parameters", "Parameter", func(t *testing.T) []string {
		return append(parameters(t, "ParseClass"), "csi.storage.k8s.io/fstype") // which CSI hands over apart
	}},
	{"configuration.md", "VolumeSnapshotClass parameters", "Parameter", func(t *testing.T) []string {
		return parameters(t, "ParseSnapshotClass")
	}},
	{"configuration.md", "Sizes that hold", "`quota`", func(t *testing.T) []string {
		return pickFrom(t, constants("QuotaPolicy"), "pkg/config")
	}},
	{"on-disk.md", "The marker", "Field", func(*testing.T) []string { return names(reflect.TypeFor[disk.Marker]()) }},
	{"on-disk.md", "The record", "Field", func(*testing.T) []string { return names(reflect.TypeFor[store.Record]()) }},
	{"on-disk.md", "Snapshots", "Field", func(*testing.T) []string { return names(reflect.TypeFor[store.SnapshotRecord]()) }},
}

func TestReferenceIsExact(t *testing.T) {
	for _, table := range tables {
		t.Run(strings.TrimSpace(table.page+" "+table.heading), func(t *testing.T) {
			has := table.code(t)
			if len(has) < 2 {
				t.Fatalf("only %q are found in the code: the test proves nothing", has)
			}
			reference.Same(t, "docs/reference/"+table.page, reference.First(t, "reference/"+table.page, table.heading, table.title), has)
		})
	}
}

// TestReferenceOfClassRecord holds the record's field class to what a class can say.
func TestReferenceOfClassRecord(t *testing.T) {
	for _, row := range reference.Rows(t, "reference/on-disk.md", "The record", "Field") {
		if slices.Equal(reference.Names(row[0]), []string{"class"}) {
			told := slices.DeleteFunc(reference.Names(row[1]), func(name string) bool { return name == "className" })
			reference.Same(t, "docs/reference/on-disk.md, class", told, names(reflect.TypeFor[config.Class]()))
			return
		}
	}
	t.Error("docs/reference/on-disk.md tells nothing of the field class")
}

func TestReferenceOfDiskStates(t *testing.T) {
	for _, row := range reference.Rows(t, "reference/commands.md", "`hostdir disks`: disks and their room", "Column") {
		if row[0] == "STATE" {
			reference.Same(t, "docs/reference/commands.md", reference.Names(row[1]), pickFrom(t, constants("DiskState"), "pkg/admin"))
			return
		}
	}
	t.Error("docs/reference/commands.md tells nothing of STATE")
}

// TestReferenceOfErrors compares the table of errors with that of pkg/driver, in its
// order: the first class counts.
func TestReferenceOfErrors(t *testing.T) {
	words := map[string]string{"context.Canceled": "context canceled", "context.DeadlineExceeded": "context deadline exceeded"}
	pickFrom(t, func(n ast.Node) []string {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if call, ok := spec.Values[0].(*ast.CallExpr); ok && len(call.Args) == 1 {
				if says, ok := text(call.Args[0]); ok {
					words["errdefs."+spec.Names[0].Name] = says
				}
			}
		}
		return nil
	}, "pkg/errdefs")
	var has []string
	pickFrom(t, func(n ast.Node) []string {
		if pair, ok := n.(*ast.CompositeLit); ok && len(pair.Elts) == 2 {
			class, code := selector(pair.Elts[0]), selector(pair.Elts[1])
			if says, ok := words[class]; ok && strings.HasPrefix(code, "codes.") {
				has = append(has, says+": "+strings.TrimPrefix(code, "codes."))
			}
		}
		return nil
	}, "pkg/driver")
	if len(has) != len(words) {
		t.Errorf("%d classes have codes, and there are %d", len(has), len(words))
	}
	var told []string
	for _, row := range reference.Rows(t, "reference/errors.md", "Errors of calls", "Words") {
		if says := reference.Names(row[0]); len(says) == 1 {
			told = append(told, says[0]+": "+strings.Join(reference.Names(row[1]), " "))
		}
	}
	if !slices.Equal(told, has) {
		t.Errorf("docs/reference/errors.md tells\n%q,\npkg/driver/errors.go has\n%q", told, has)
	}
}

// TestReferenceOfExitStatuses compares the table with the statuses of pkg/program and
// pkg/cli.
func TestReferenceOfExitStatuses(t *testing.T) {
	has := pickFrom(t, func(n ast.Node) (found []string) {
		f, ok := n.(*ast.FuncDecl)
		if !ok || f.Type.Results == nil || len(f.Type.Results.List) != 1 || !isNamed(f.Type.Results.List[0].Type, "int") {
			return nil
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if ret, ok := n.(*ast.ReturnStmt); ok {
				if status, ok := ret.Results[0].(*ast.BasicLit); ok {
					found = append(found, status.Value)
				}
			}
			return true
		})
		return found
	}, "pkg/program")
	ofCLI := []string{strconv.Itoa(cli.OK), strconv.Itoa(cli.Wrong), strconv.Itoa(cli.Unknown)}
	var told []string
	for _, row := range reference.Rows(t, "reference/errors.md", "Exit statuses", "Status") {
		told = append(told, row[0])
	}
	reference.Same(t, "docs/reference/errors.md", told, has)
	reference.Same(t, "docs/reference/errors.md", told, ofCLI)
}

// TestReferenceOfControllersLabels compares the labels of hostdir-controller's metrics.
// Those of the plugin's are compared where they are scraped: in pkg/metrics.
func TestReferenceOfControllersLabels(t *testing.T) {
	has := pickFrom(t, func(n ast.Node) []string {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return nil
		}
		opts, ok := call.Args[0].(*ast.CompositeLit)
		if !ok {
			return nil
		}
		for _, e := range opts.Elts {
			field, ok := e.(*ast.KeyValueExpr)
			if !ok || !isNamed(field.Key, "Name") {
				continue
			}
			name, ok := text(field.Value)
			if !ok || !metric.MatchString(name) {
				continue
			}
			kind := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(selector(call.Fun), "prometheus.New"), "Vec"))
			var labels []string
			if len(call.Args) == 2 {
				for _, label := range call.Args[1].(*ast.CompositeLit).Elts {
					l, _ := text(label)
					labels = append(labels, l)
				}
			}
			return []string{fmt.Sprint(name, " ", kind, " ", labels)}
		}
		return nil
	}, "pkg/controller")
	var told []string
	for _, row := range reference.Rows(t, "reference/metrics.md", "The controller", "Metric") {
		told = append(told, fmt.Sprint(reference.Names(row[0])[0], " ", row[1], " ", reference.Names(row[2])))
	}
	reference.Same(t, "docs/reference/metrics.md", told, has)
}

// eventReasons are those of hostdir-controller's events: what is written to a field, a
// variable or a result of the name reason, and what is handed to those who tell them.
func eventReasons(t *testing.T) []string {
	tellers := map[string]int{".tell": 1, ".about": 2} // which argument is the reason
	return pickFrom(t, func(n ast.Node) (found []string) {
		add := func(e ast.Expr) {
			if reason, ok := text(e); ok {
				found = append(found, reason)
			}
		}
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if isNamed(n.Key, "Reason") {
				add(n.Value)
			}
		case *ast.AssignStmt:
			if isNamed(n.Lhs[0], "reason") {
				add(n.Rhs[0])
			}
		case *ast.CallExpr:
			name := selector(n.Fun)
			if at, ok := tellers[name[max(0, strings.LastIndex(name, ".")):]]; ok && len(n.Args) > at {
				add(n.Args[at])
			}
		case *ast.FuncDecl:
			if results := n.Type.Results; results == nil || len(results.List[0].Names) == 0 || results.List[0].Names[0].Name != "reason" {
				return nil
			}
			ast.Inspect(n, func(n ast.Node) bool {
				if ret, ok := n.(*ast.ReturnStmt); ok {
					add(ret.Results[0])
				}
				return true
			})
		}
		return found
	}, "pkg/controller")
}

// parameters are the keys that a function of pkg/config knows: literals and constants of
// its switch.
func parameters(t *testing.T, function string) []string {
	values := map[string]string{}
	pickFrom(t, func(n ast.Node) []string {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for i, value := range spec.Values {
				if says, ok := text(value); ok {
					values[spec.Names[i].Name] = says
				}
			}
		}
		return nil
	}, "pkg/config")
	return pickFrom(t, func(n ast.Node) (found []string) {
		f, ok := n.(*ast.FuncDecl)
		if !ok || f.Name.Name != function {
			return nil
		}
		ast.Inspect(f, func(n ast.Node) bool {
			of, ok := n.(*ast.SwitchStmt)
			if !ok || !isNamed(of.Tag, "key") {
				return true
			}
			for _, c := range of.Body.List {
				for _, e := range c.(*ast.CaseClause).List {
					if name, ok := text(e); ok {
						found = append(found, name)
					} else if constant, ok := e.(*ast.Ident); ok {
						found = append(found, values[constant.Name])
					}
				}
			}
			return false
		})
		return found
	}, "pkg/config")
}

// names are those of a struct's fields in JSON.
func names(of reflect.Type) (all []string) {
	for field := range of.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "-" && name != "" {
			all = append(all, name)
		}
	}
	return all
}

// fieldsOf are the fields of the configuration as docs write them: pools[].name. What is
// told as a whole, such as a range, is one.
func fieldsOf(of reflect.Type, prefix string) (all []string) {
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		elem := field.Type
		switch {
		case elem.Kind() == reflect.Slice && elem.Elem() == reflect.TypeFor[config.Pool]() && prefix != "":
			all = append(all, prefix+name) // as above
		case elem.Kind() == reflect.Slice && elem.Elem().Kind() == reflect.Struct:
			all = append(all, fieldsOf(elem.Elem(), name+"[].")...)
		default:
			all = append(all, prefix+name)
		}
	}
	return all
}

// selector returns what is written as package.Name, "" for anything else.
func selector(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if x, ok := s.X.(*ast.Ident); ok {
		return x.Name + "." + s.Sel.Name
	}
	return "." + s.Sel.Name
}
