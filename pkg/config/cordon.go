package config

import (
	"slices"
	"strings"
)

// CordonedBy returns what in Cordoned means the disk at a path, "" if nothing does. The disk
// may be named as in Paths, or with the SubPath.
func (p Pool) CordonedBy(path string) string {
	i := slices.IndexFunc(p.Cordoned, func(pattern string) bool {
		return matchesPath(pattern, path) || p.SubPath != "" && matchesPath(pattern, strings.TrimSuffix(path, "/"+p.SubPath))
	})
	if i < 0 {
		return ""
	}
	return p.Cordoned[i]
}

// IdleCordons returns what in Cordoned means none of these disks.
func (p Pool) IdleCordons(paths []string) (idle []string) {
	for _, pattern := range p.Cordoned {
		one := Pool{Cordoned: []string{pattern}, SubPath: p.SubPath}
		if !slices.ContainsFunc(paths, func(path string) bool { return one.CordonedBy(path) != "" }) {
			idle = append(idle, pattern)
		}
	}
	return idle
}
