package monitoring

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// A Board is a dashboard of Grafana, as far as those of the chart use what it can hold.
type Board struct {
	UID, Title string
	Templating struct {
		List []struct{ Name, AllValue string }
	}
	Panels []Panel
}

// A Panel shows the results of its queries.
type Panel struct {
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H float64 }
	FieldConfig              struct {
		Defaults struct {
			Unit       string
			Max        *float64
			Thresholds struct {
				Steps []struct {
					Color string
					Value *float64
				}
			}
		}
	}
	Targets []struct {
		Expr, LegendFormat string
		Instant            bool
	}
	Transformations []Transformation
}

// A Transformation leaves labels out of a table.
type Transformation struct {
	Options struct{ ExcludeByName map[string]bool }
}

// Load reads a dashboard.
func Load(file string) (Board, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return Board{}, err
	}
	var b Board
	if err := json.Unmarshal(content, &b); err != nil {
		return Board{}, fmt.Errorf("%s: %w", file, err)
	}
	return b, nil
}

// Query is a panel's query with all that the variables can choose, and with the interval of
// rates, which Grafana makes four scrapes long.
func (b Board) Query(expr string, scrape time.Duration) string {
	expr = strings.ReplaceAll(expr, "$__rate_interval", (4 * scrape).String())
	for _, v := range b.Templating.List {
		if v.AllValue != "" {
			expr = strings.ReplaceAll(expr, "$"+v.Name, v.AllValue)
		}
	}
	return expr
}

// A Reading is what a dashboard showed of a span of time: for each panel what its queries
// returned. Each series has its legend.
type Reading struct {
	From, To time.Time
	Panels   [][]Line
}

// A Line is a series by the name that the panel gives it.
type Line struct {
	Legend string
	Series
}

// Read asks all of a dashboard's queries.
func (b Board) Read(s *Server, from, to time.Time, scrape time.Duration) (Reading, error) {
	r := Reading{From: from, To: to}
	// As many points as a panel has pixels would show no more.
	step := max(scrape, (to.Sub(from) / 120).Truncate(time.Second))
	for _, p := range b.Panels {
		lines := []Line{}
		for _, t := range p.Targets {
			query := b.Query(t.Expr, scrape)
			var series []Series
			var err error
			if t.Instant {
				series, err = s.Query(query, to)
			} else {
				series, err = s.QueryRange(query, from, to, step)
			}
			if err != nil {
				return r, fmt.Errorf("%s, panel %q: %w", b.UID, p.Title, err)
			}
			for _, one := range series {
				lines = append(lines, Line{legend(t.LegendFormat, one.Labels), one})
			}
		}
		r.Panels = append(r.Panels, lines)
	}
	return r, nil
}

var placeholder = regexp.MustCompile(`{{ *(\w+) *}}`)

func legend(format string, labels map[string]string) string {
	return placeholder.ReplaceAllStringFunc(format, func(p string) string {
		return labels[placeholder.FindStringSubmatch(p)[1]]
	})
}
