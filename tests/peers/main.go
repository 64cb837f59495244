// Command peers makes tables and plots of what benchmarks have measured:
//
//	peers REPORT.json PAGE.md IMAGES
//
// What it writes depends on the report alone. The page has markers, between which all is
// replaced; the plots are IMAGES/bench-*.svg.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostdir/hostdir/tests/peers/report"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("want a report, a page and a folder for images as arguments")
	}
	r, err := report.Read(args[0])
	if err != nil {
		return err
	}
	images, err := filepath.Rel(filepath.Dir(args[1]), args[2])
	if err != nil {
		return err
	}
	page, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	written, err := between(string(page), measured(r, images))
	if err != nil {
		return fmt.Errorf("%s: %w", args[1], err)
	}
	for _, p := range plots {
		if svg := p.draw(r); svg != "" {
			if err := os.WriteFile(filepath.Join(args[2], p.file), []byte(svg), 0o644); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(args[1], []byte(written), 0o644)
}

const (
	begin = "<!-- measured: written by make bench-peers -->\n"
	end   = "<!-- measured: end -->\n"
)

// between replaces what is between the markers of a page.
func between(page, text string) (string, error) {
	before, rest, found := strings.Cut(page, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", fmt.Errorf("the page lacks the lines %q and %q", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return before + begin + "\n" + text + "\n" + end + after, nil
}
