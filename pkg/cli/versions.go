package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hostdir/hostdir/pkg/admin"
)

// maxNamed is how many nodes one line names.
const maxNamed = 3

// warnVersions says, on standard error, on which of the nodes that have answered
// hostdir is of another version than this program. A watch says it once.
func (s *session) warnVersions(nodes []*node) {
	if s.warned {
		return
	}
	s.warned = true
	byVersion := map[string][]string{}
	for _, n := range nodes {
		if v := n.plugin.Version(); v != "" && v != s.version {
			byVersion[v] = append(byVersion[v], n.name)
		}
	}
	for _, version := range slices.Sorted(maps.Keys(byVersion)) {
		is := "version " + version
		if version == admin.Older {
			is = "of an older version"
		}
		fmt.Fprintf(s.ErrOut, "Warning: hostdir is %s on %s, and this program is version %s: they may not understand each other in all\n", is, someOf(byVersion[version]), s.version)
	}
}

// someOf names a few nodes.
func someOf(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more nodes", strings.Join(names[:maxNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}
