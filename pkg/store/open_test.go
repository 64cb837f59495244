package store

import (
	"path/filepath"
	"testing"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

func TestOpenRefuses(t *testing.T) {
	for _, test := range []struct{ name, config string }{
		{"an empty configuration", ""},
		{"no pool for this node", "pools: [{name: a, paths: [/a]}]\nnodes: [{match: [node-*]}]"},
		{"a bad configuration", "polls: []"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config.yaml")
			writeFile(t, file, test.config)
			_, err := Open(t.Context(), testNode, file, "")
			wantClass(t, err, errdefs.ErrInvalid)
		})
	}
	t.Run("no file", func(t *testing.T) {
		if _, err := Open(t.Context(), testNode, filepath.Join(t.TempDir(), "missing.yaml"), ""); err == nil {
			t.Error("a missing configuration is no error")
		}
	})
}
