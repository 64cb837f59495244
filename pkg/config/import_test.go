package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

func TestImport(t *testing.T) {
	const pools = "pools: [{name: a, paths: [/data/hostdir, /mnt/disks/*]}, {name: b, paths: [/mnt/x/*], requireMountPoint: true, subPath: sub}]\n" +
		"nodes: [{match: [n], pools: [{name: a, paths: [/srv/hostdir]}]}]\n"
	for _, test := range []struct{ paths, says string }{
		{"/data, /opt/local-path-provisioner, /mnt/disks, /mnt/x/y", ""},
		{"/", "plain absolute path"},
		{"data", "plain absolute path"},
		{"/data/", "plain absolute path"},
		{"/data/../etc", "plain absolute path"},
		{"/data/*", "glob"},
		{"/data/hostdir", "disk of pool"},
		{"/data/hostdir/volumes", "disk of pool"},
		{"/mnt/disks/sda", "disk of pool"},
		{"/mnt/disks/sda/old", "disk of pool"},
		{"/mnt/x/y/sub/z", "disk of pool"},
		{"/srv/hostdir/a", "disk of pool"},
	} {
		_, err := Parse([]byte(pools + "import: [" + test.paths + "]"))
		if test.says == "" && err != nil {
			t.Errorf("%s: %v", test.paths, err)
		}
		if test.says != "" && (!errors.Is(err, errdefs.ErrInvalid) || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: error %v, want %q", test.paths, err, test.says)
		}
	}
}

func TestImportRootsFind(t *testing.T) {
	roots := ImportRoots{"/data", "/data/deep", "/opt"}
	for path, want := range map[string][2]string{
		"/data/www-0":      {"/data", "www-0"},
		"/data/deep/www":   {"/data/deep", "www"},
		"/data/deeper/www": {"/data", "deeper/www"},
		"/data":            {},
		"/database/www":    {},
		"/srv":             {},
	} {
		root, name, ok := roots.Find(path)
		if root != want[0] || name != want[1] || ok != (want[0] != "") {
			t.Errorf("%s: %q, %q, %t", path, root, name, ok)
		}
	}
}
