package cli

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/hostdir/hostdir/tests/reference"
)

const docsPage = "reference/kubectl-hostdir.md"

// sections are where the flags of commands are told besides those that several have. A
// command without a section has no others.
var sections = map[string]struct{ page, heading string }{
	"browse":    {docsPage, "Browse"},
	"check":     {docsPage, "Check"},
	"disks":     {},
	"give-up":   {},
	"import":    {"how-to/import.md", ""},
	"path":      {},
	"purge":     {},
	"rebuild":   {"how-to/rebuild.md", ""},
	"release":   {docsPage, "Release"},
	"rename":    {docsPage, "Rename"},
	"report":    {docsPage, "Report"},
	"resize":    {docsPage, "Resize"},
	"show":      {},
	"snapshots": {docsPage, "Snapshots"},
	"trash":     {},
	"undelete":  {},
	"volumes":   {docsPage, "Volumes"},
	"why":       {},
}

// TestDocsTellFlags compares the flags of each command with what its section says, and
// the section on all of them.
func TestDocsTellFlags(t *testing.T) {
	s := &session{IOStreams: genericiooptions.IOStreams{}, flags: genericclioptions.NewConfigFlags(true)}
	root := newRoot(s)
	kubectls := pflag.NewFlagSet("kubectl", pflag.ContinueOnError)
	genericclioptions.NewConfigFlags(true).AddFlags(kubectls)

	common := reference.Rows(t, docsPage, "What all have in common", "Flag")
	unused := tokens(common)
	use := func(names []string) {
		unused = slices.DeleteFunc(unused, func(name string) bool { return slices.Contains(names, name) })
	}
	own := pflag.NewFlagSet("own", pflag.ContinueOnError)
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if kubectls.Lookup(f.Name) == nil {
			own.AddFlag(f)
		}
	})
	own.AddFlagSet(root.LocalNonPersistentFlags())
	compare(t, "kubectl hostdir", common, nil, own)
	use(flagNames(own))

	for _, command := range root.Commands() {
		section, known := sections[command.Name()]
		if !known {
			if command.Name() != "completion" && command.Name() != "help" {
				t.Errorf("no page is known to tell the flags of %s", command.Name())
			}
			continue
		}
		var special []reference.Row
		if section.page != "" {
			special = reference.Rows(t, section.page, section.heading, "Flag")
		}
		flags := pflag.NewFlagSet(command.Name(), pflag.ContinueOnError)
		flags.AddFlagSet(command.LocalNonPersistentFlags())
		for _, sub := range command.Commands() {
			flags.AddFlagSet(sub.LocalNonPersistentFlags())
		}
		compare(t, command.Name(), common, special, flags)
		use(flagNames(flags))
	}
	for _, name := range unused {
		t.Errorf("docs/%s explains `%s`, which no command has", docsPage, name)
	}
}

// TestDocsTellCommands compares the table of commands with those that there are.
func TestDocsTellCommands(t *testing.T) {
	var has, told []string
	root := newRoot(&session{flags: genericclioptions.NewConfigFlags(true)})
	for _, command := range root.Commands() {
		if _, ours := sections[command.Name()]; !ours {
			continue // cobra's
		}
		has = append(has, command.Name())
		for _, sub := range command.Commands() {
			has = append(has, sub.Name())
		}
	}
	lastWord := regexp.MustCompile(`^(?:disks )?([a-z-]+)(?: [A-Z|]+)?$`)
	for _, row := range reference.Rows(t, docsPage, "", "Command") {
		for _, name := range reference.Names(row[0]) {
			if match := lastWord.FindStringSubmatch(strings.TrimPrefix(name, "kubectl hostdir ")); match != nil {
				told = append(told, match[1])
			}
		}
	}
	reference.Same(t, "docs/"+docsPage, told, has)
}

// compare holds a command's flags to the rows about them: each is in one or the other
// table, and those of its own table are its own.
func compare(t *testing.T, command string, common, special []reference.Row, flags *pflag.FlagSet) {
	t.Helper()
	has := flagNames(flags)
	rows := slices.Clone(special)
	told := tokens(special)
	for _, row := range common {
		names := reference.Names(row[0])
		if slices.ContainsFunc(names, func(name string) bool { return slices.Contains(has, name) }) &&
			!slices.ContainsFunc(names, func(name string) bool { return slices.Contains(told, name) }) {
			rows = append(rows, row)
		}
	}
	// kubectl's own flags may be explained where they mean something special.
	own := pflag.NewFlagSet("own", pflag.ContinueOnError)
	own.AddFlagSet(flags)
	kubectls := pflag.NewFlagSet("kubectl", pflag.ContinueOnError)
	genericclioptions.NewConfigFlags(true).AddFlags(kubectls)
	kubectls.VisitAll(func(f *pflag.Flag) {
		if slices.Contains(told, "--"+f.Name) && own.Lookup(f.Name) == nil {
			own.AddFlag(f)
		}
	})
	reference.Flags(t, "docs on "+command, rows, own)
}

func tokens(rows []reference.Row) (names []string) {
	for _, row := range rows {
		names = append(names, reference.Names(row[0])...)
	}
	return names
}

func flagNames(flags *pflag.FlagSet) (names []string) {
	flags.VisitAll(func(f *pflag.Flag) {
		names = append(names, "--"+f.Name)
		if f.Shorthand != "" {
			names = append(names, "-"+f.Shorthand)
		}
	})
	return names
}
