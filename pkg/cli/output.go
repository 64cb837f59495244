package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// output is how results are shown.
type output struct {
	format    string
	noHeaders bool
	watch     bool
}

func (o *output) addFlags(flags *pflag.FlagSet) {
	flags.StringVarP(&o.format, "output", "o", "table", "how to show it: table, wide, json, yaml or name")
	flags.BoolVar(&o.noHeaders, "no-headers", false, "leave out the line of headers")
}

// unknown stands in a table for what is not known.
const unknown = "-"

// rows are a table. Wide columns, at its end, are shown with -o wide only.
type rows struct {
	header []string
	wide   int
	cells  [][]string
	// names are what -o name shows, one for each row.
	names []string
	// tones colour the rows, if there are any.
	tones []tone
	// passing are the columns that change by themselves, such as ages.
	passing []int
}

// print writes a result: value for programs, the table for people.
func (o *output) print(w io.Writer, value any, table func() rows) error {
	switch o.format {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	case "yaml":
		text, err := yaml.Marshal(value)
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	case "name":
		_, err := io.WriteString(w, strings.Join(append(table().names, ""), "\n"))
		return err
	case "table", "wide":
		return o.table(w, table())
	default:
		return fmt.Errorf("--output=%s is none of table, wide, json, yaml and name", o.format)
	}
}

func (o *output) table(w io.Writer, r rows) error { return o.lines(w, r, nil) }

// lines writes a table, or with only not nil some of its rows, as the table has them.
func (o *output) lines(w io.Writer, r rows, only []bool) error {
	columns := len(r.header)
	if o.format != "wide" {
		columns -= r.wide
	}
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	if !o.noHeaders {
		fmt.Fprintln(t, strings.Join(r.header[:columns], "\t"))
	}
	for _, cells := range r.cells {
		line := make([]string, columns)
		for i := range line {
			line[i] = strings.Join(strings.Fields(cells[i]), " ")
			if cells[i] == "" {
				line[i] = unknown
			}
		}
		fmt.Fprintln(t, strings.Join(line, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	var out strings.Builder
	if !o.noHeaders {
		if only == nil {
			out.WriteString(lines[0] + "\n")
		}
		lines = lines[1:]
	}
	colour := hasColour(w)
	for i := range r.cells {
		if only != nil && !only[i] {
			continue
		}
		line := lines[i]
		if i < len(r.tones) {
			line = paint(colour, r.tones[i], line)
		}
		out.WriteString(line + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}
