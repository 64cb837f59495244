package config

import (
	"slices"
	"testing"
)

func TestCordonedBy(t *testing.T) {
	for _, test := range []struct {
		name string
		pool Pool
		path string
		want string
	}{
		{"nothing", Pool{}, "/mnt/a", ""},
		{"the path", Pool{Cordoned: []string{"/mnt/b", "/mnt/a"}}, "/mnt/a", "/mnt/a"},
		{"another path", Pool{Cordoned: []string{"/mnt/b"}}, "/mnt/a", ""},
		{"a path above it", Pool{Cordoned: []string{"/mnt"}}, "/mnt/a", ""},
		{"a glob", Pool{Cordoned: []string{"/mnt/nvme*"}}, "/mnt/nvme0", "/mnt/nvme*"},
		{"a glob of something else", Pool{Cordoned: []string{"/mnt/nvme*"}}, "/mnt/sda", ""},
		{"a glob that would mean a folder below", Pool{Cordoned: []string{"/mnt/*"}}, "/mnt/a/hostdir", ""},
		{"the mount point", Pool{SubPath: "hostdir", Cordoned: []string{"/mnt/a"}}, "/mnt/a/hostdir", "/mnt/a"},
		{"a glob of mount points", Pool{SubPath: "hostdir", Cordoned: []string{"/mnt/*"}}, "/mnt/a/hostdir", "/mnt/*"},
		{"the directory on it", Pool{SubPath: "hostdir", Cordoned: []string{"/mnt/a/hostdir"}}, "/mnt/a/hostdir", "/mnt/a/hostdir"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.pool.CordonedBy(test.path); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	idle := Pool{Cordoned: []string{"/mnt/a", "/mnt/b*", "/mnt/[c]"}}.IdleCordons([]string{"/mnt/a", "/mnt/c"})
	if want := []string{"/mnt/b*"}; !slices.Equal(idle, want) {
		t.Errorf("%q mean no disk, want %q", idle, want)
	}
}
