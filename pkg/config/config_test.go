package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

func TestParseConfig(t *testing.T) {
	got, err := Parse([]byte(`
pools:
- name: default
  paths: [/var/lib/hostdir]
- name: nvme
  paths: [/mnt/nvme0, /mnt/disks/*]
  requireMountPoint: true
  reserve: 5%
- name: shared
  paths: [/mnt/disks/*]
  requireMountPoint: true
  subPath: hostdir
- name: scratch
  paths: [/mnt/scratch]
  requireMountPoint: true
  initEmpty: true
nodes:
- match: ["gpu-*", special]
  pools:
  - name: default
    paths: [/data/hostdir]
    reserve: 10Gi
    overcommit: 1.5
projectIDs: {first: 5000, last: 5999}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Pools: []Pool{
			{Name: "default", Paths: []string{"/var/lib/hostdir"}},
			{Name: "nvme", Paths: []string{"/mnt/nvme0", "/mnt/disks/*"}, RequireMountPoint: true, Reserve: Reserve{percent: 5}},
			{Name: "shared", Paths: []string{"/mnt/disks/*"}, RequireMountPoint: true, SubPath: "hostdir"},
			{Name: "scratch", Paths: []string{"/mnt/scratch"}, RequireMountPoint: true, InitEmpty: true},
		},
		Nodes: []NodeConfig{{
			Match: []string{"gpu-*", "special"},
			Pools: []Pool{{Name: "default", Paths: []string{"/data/hostdir"}, Reserve: Reserve{bytes: 10 << 30}, Overcommit: Overcommit{0.5}}},
		}},
		ProjectIDs: IDRange{First: 5000, Last: 5999},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Reserve{}, Overcommit{})); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestParseConfigRefuses(t *testing.T) {
	for _, test := range []struct{ name, config, says string }{
		{"not YAML", "pools: [", "yaml"},
		{"a list", "[]", "cannot unmarshal array"},
		{"an unknown field", "polls: []", `unknown field "polls"`},
		{"an unknown field of a pool", "pools: [{name: a, paths: [/a], requireMountpoints: true}]", `unknown field "requireMountpoints"`},
		{"a field twice", "pools: []\npools: []", "already"},
		{"a pool without a name", "pools: [{paths: [/a]}]", "pools[0].name"},
		{"a pool in capitals", "pools: [{name: NVMe, paths: [/a]}]", "pools[0].name"},
		{"a pool that is a path", "pools: [{name: ../a, paths: [/a]}]", "pools[0].name"},
		{"two pools of one name", "pools: [{name: a, paths: [/a]}, {name: a, paths: [/b]}]", `pools[1].name: pool "a" is there twice`},
		{"a pool without a directory", "pools: [{name: a}]", "pools[0].paths"},
		{"overcommit 0", "pools: [{name: a, paths: [/a], overcommit: 0}]", "overcommit 0"},
		{"negative overcommit", "pools: [{name: a, paths: [/a], overcommit: -1}]", "overcommit -1"},
		{"overcommit that is no number", "pools: [{name: a, paths: [/a], overcommit: .nan}]", "NaN"},
		{"overcommit without end", "pools: [{name: a, paths: [/a], overcommit: 1e9}]", "overcommit"},
		{"an empty range of project IDs", "projectIDs: {first: 10, last: 9}", "projectIDs"},
		{"project 0", "projectIDs: {first: 0, last: 9}", "projectIDs"},
		{"all project IDs", "projectIDs: {first: 1, last: 4294967295}", "projectIDs"},
		{"a relative directory", "pools: [{name: a, paths: [var/lib]}]", `"var/lib"`},
		{"the root", "pools: [{name: a, paths: [/]}]", `"/"`},
		{"two dots in a directory", "pools: [{name: a, paths: [/a/../b]}]", `"/a/../b"`},
		{"a slash at the end", "pools: [{name: a, paths: [/a/]}]", `"/a/"`},
		{"a directory twice", "pools: [{name: a, paths: [/a, /a]}]", `in pool "a" already`},
		{"a directory in two pools", "pools: [{name: a, paths: [/a]}, {name: b, paths: [/a]}]", `in pool "a" already`},
		{"a directory twice in one subPath", "pools: [{name: a, paths: [/a], requireMountPoint: true, subPath: x}, {name: b, paths: [/a/x]}]", `"/a/x" is in pool "a" already`},
		{"a subPath of no mount point", "pools: [{name: a, paths: [/a], subPath: x}]", "pools[0].subPath: \"x\" is beneath a mount point: set requireMountPoint: true"},
		{"an empty disk that need not be mounted", "pools: [{name: a, paths: [/a], initEmpty: true}]", "pools[0].initEmpty: the directory below a mount point is empty as well while no disk is mounted: set requireMountPoint: true"},
		{"an empty disk of a node that need not be mounted", "nodes: [{match: [a], pools: [{name: a, paths: [/a], initEmpty: true}]}]", "nodes[0].pools[0].initEmpty"},
		{"an absolute subPath", "pools: [{name: a, paths: [/a], requireMountPoint: true, subPath: /x}]", `"/x" is not the plain path`},
		{"a subPath above", "pools: [{name: a, paths: [/a], requireMountPoint: true, subPath: ..}]", `".." is not the plain path`},
		{"a subPath that leads above", "pools: [{name: a, paths: [/a], requireMountPoint: true, subPath: x/../../y}]", "is not the plain path"},
		{"a subPath that leads nowhere", "pools: [{name: a, paths: [/a], requireMountPoint: true, subPath: .}]", `"." is not the plain path`},
		{"a subPath with a slash at the end", "pools: [{name: a, paths: [/a], requireMountPoint: true, subPath: x/}]", "is not the plain path"},
		{"a subPath with a glob", "pools: [{name: a, paths: [/a], requireMountPoint: true, subPath: 'x*'}]", "is a glob"},
		{"a broken glob", "pools: [{name: a, paths: ['/mnt/[']}]", "not a glob"},
		{"a glob with a slash in a class", "pools: [{name: a, paths: ['/mnt/[a/b]']}]", "not a glob"},
		{"a node entry without names", "nodes: [{pools: [{name: a, paths: [/a]}]}]", "nodes[0].match"},
		{"a node in capitals", "nodes: [{match: [Worker-1], pools: []}]", `"Worker-1" matches no node`},
		{"a regular expression for nodes", `nodes: [{match: ['worker-\d+'], pools: []}]`, "and no regular expression"},
		{"another regular expression for nodes", "nodes: [{match: ['(a|b)'], pools: []}]", "and no regular expression"},
		{"a directory within another", "pools: [{name: a, paths: [/data, /data/fast]}]", `"/data/fast" of pool "a" and "/data" of pool "a" lie within each other`},
		{"a directory around another", "pools: [{name: a, paths: [/data/fast]}, {name: b, paths: [/data]}]", "lie within each other"},
		{"a subPath within a directory", "pools: [{name: a, paths: [/data], requireMountPoint: true, subPath: x/y}, {name: b, paths: [/data/x]}]", "lie within each other"},
		{"a broken glob of nodes", "nodes: [{match: ['['], pools: []}]", "nodes[0].match"},
		{"a bad pool of a node", "nodes: [{match: [a], pools: [{name: a}]}]", "nodes[0].pools[0].paths"},
		{"a reserve of everything", "pools: [{name: a, paths: [/a], reserve: 100%}]", "reserve"},
		{"a negative share", "pools: [{name: a, paths: [/a], reserve: -1%}]", "reserve"},
		{"no number of a share", "pools: [{name: a, paths: [/a], reserve: NaN%}]", "reserve"},
		{"a negative reserve", "pools: [{name: a, paths: [/a], reserve: -1}]", "reserve"},
		{"a reserve in words", "pools: [{name: a, paths: [/a], reserve: much}]", "reserve"},
		{"a time in days", "pools: [{name: a, paths: [/a], trashTTL: 7d}]", "7d"},
		{"a time without unit", "pools: [{name: a, paths: [/a], trashTTL: 60}]", "60"},
		{"a negative time", "pools: [{name: a, paths: [/a], minTrashTTL: -1h}]", "-1h"},
		{"a list as reserve", "pools: [{name: a, paths: [/a], reserve: [1]}]", "reserve"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse([]byte(test.config))
			if !errors.Is(err, errdefs.ErrInvalid) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want %v, and that it says %q", err, errdefs.ErrInvalid, test.says)
			}
		})
	}
}

func TestPoolsFor(t *testing.T) {
	config, err := Parse([]byte(`
pools: [{name: everybodys, paths: [/a]}]
nodes:
- {match: [gpu-1], pools: [{name: first, paths: [/a]}]}
- {match: ["gpu-*", "*.lab"], pools: [{name: second, paths: [/a]}]}
- {match: [empty], pools: []}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ node, want, match string }{
		{"gpu-1", "first", "gpu-1"},
		{"gpu-2", "second", "gpu-*"},
		{"rack-7.lab", "second", "*.lab"},
		{"gpu", "everybodys", ""},
		{"agpu-1", "everybodys", ""},
		{"empty", "", "empty"},
	} {
		t.Run(test.node, func(t *testing.T) {
			got := ""
			pools, match := config.PoolsFor(test.node)
			if match != test.match {
				t.Errorf("the pools are those of %q, want %q", match, test.match)
			}
			for _, p := range pools {
				got += p.Name
			}
			if got != test.want {
				t.Errorf("pools %q, want %q", got, test.want)
			}
		})
	}
}
