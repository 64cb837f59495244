package architecture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/tests/reference"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	// unlinked is what GitHub leaves out of a heading's anchor.
	unlinked = regexp.MustCompile("[^a-z0-9 _-]")
)

// TestLinksLead follows the links from the pages of the top level and from docs/ to
// files and sections.
func TestLinksLead(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/*/*.md", "../../docs/*/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("there are no pages %s (%v)", pattern, err)
		}
		pages = append(pages, found...)
	}
	for _, page := range pages {
		text := read(t, page)
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			file, section, _ := strings.Cut(match[1], "#")
			to := page
			if file != "" {
				to = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: the link %s leads nowhere", filepath.Base(page), match[1])
			} else if section != "" && !hasSection(read(t, to), section) {
				t.Errorf("%s: the link %s names no section", filepath.Base(page), match[1])
			}
		}
	}
}

// TestIndexNamesAllPages looks for each page in docs/README.md, but for the design
// records, which have an index of their own.
func TestIndexNamesAllPages(t *testing.T) {
	index := reference.Page(t, "README.md")
	pages, err := filepath.Glob("../../docs/*/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("there are no pages (%v)", err)
	}
	for _, page := range pages {
		page = strings.TrimPrefix(page, "../../docs/")
		if !strings.Contains(index, "]("+page+")") {
			t.Errorf("docs/README.md does not link to %s: nobody will find it", page)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// hasSection reports whether a heading has this anchor.
func hasSection(text, anchor string) bool {
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		if strings.ReplaceAll(unlinked.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}
