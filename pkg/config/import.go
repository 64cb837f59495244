package config

import (
	"path"
	"strings"
)

// ImportRoots are directories to import from.
type ImportRoots []string

// checkImport checks the directories to import from, beside the pools of a node.
func (c Config) checkImport(where string, pools []Pool) error {
	for _, from := range c.Import {
		if err := checkPath(where, from); err != nil {
			return err
		}
		if isGlob(from) {
			return configError(where, "%q is a glob: write the directory in which the volumes lie", from)
		}
		for _, p := range pools {
			for at := from; at != "/"; at = path.Dir(at) {
				if p.Matches(at) {
					return configError(where, "%q is in %q, which is a disk of pool %q: what is there is hostdir's already", from, at, p.Name)
				}
			}
		}
	}
	return nil
}

// Find returns which of the directories a path lies beneath, and its name there; ok is
// false if it lies beneath none.
func (r ImportRoots) Find(dir string) (root, name string, ok bool) {
	for _, from := range r {
		if rest, within := strings.CutPrefix(dir, from+"/"); within && len(from) > len(root) {
			root, name, ok = from, rest, true
		}
	}
	return root, name, ok
}
