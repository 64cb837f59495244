package store

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

func TestParseConfig(t *testing.T) {
	got, err := ParseConfig([]byte(`
pools:
- name: default
  paths: [/var/lib/hostdir]
- name: nvme
  paths: [/mnt/nvme0, /mnt/disks/*]
  requireMountPoint: true
  reserve: 5%
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
		{"a broken glob", "pools: [{name: a, paths: ['/mnt/[']}]", "not a glob"},
		{"a node entry without names", "nodes: [{pools: [{name: a, paths: [/a]}]}]", "nodes[0].match"},
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
			_, err := ParseConfig([]byte(test.config))
			wantClass(t, err, errdefs.ErrInvalid)
			if err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error does not say %q: %v", test.says, err)
			}
		})
	}
}

func TestPoolsFor(t *testing.T) {
	config, err := ParseConfig([]byte(`
pools: [{name: everybodys, paths: [/a]}]
nodes:
- {match: [gpu-1], pools: [{name: first, paths: [/a]}]}
- {match: ["gpu-*", "*.lab"], pools: [{name: second, paths: [/a]}]}
- {match: [empty], pools: []}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ node, want string }{
		{"gpu-1", "first"},
		{"gpu-2", "second"},
		{"rack-7.lab", "second"},
		{"gpu", "everybodys"},
		{"agpu-1", "everybodys"},
		{"empty", ""},
	} {
		t.Run(test.node, func(t *testing.T) {
			got := ""
			for _, p := range config.PoolsFor(test.node) {
				got += p.Name
			}
			if got != test.want {
				t.Errorf("pools %q, want %q", got, test.want)
			}
		})
	}
}

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

func TestReserveForms(t *testing.T) {
	for _, test := range []struct {
		text string
		want int64 // of 1000 GiB
		ok   bool
	}{
		{`"5%"`, 50 << 30, true},
		{`"0.5%"`, 5 << 30, true},
		{`"0%"`, 0, true},
		{`"10Gi"`, 10 << 30, true},
		{`"512Mi"`, 512 << 20, true},
		{`"1Ei"`, 1 << 60, true},
		{`"1073741824"`, 1 << 30, true},
		{`1073741824`, 1 << 30, true},
		{`"8Ei"`, 0, false},
		{`"10GB"`, 0, false},
		{`"10G"`, 0, false},
		{`"1.5Gi"`, 0, false},
		{`"Gi"`, 0, false},
		{`" 5%"`, 0, false},
		{`""`, 0, false},
		{`true`, 0, false},
	} {
		t.Run(test.text, func(t *testing.T) {
			var r Reserve
			err := r.UnmarshalJSON([]byte(test.text))
			if (err == nil) != test.ok {
				t.Fatalf("error %v", err)
			}
			if got := r.of(1000 << 30); got != test.want {
				t.Errorf("%d bytes, want %d", got, test.want)
			}
		})
	}
}

func TestFormatSize(t *testing.T) {
	for _, test := range []struct {
		bytes int64
		want  string
	}{
		{0, "0"},
		{1, "1"},
		{1023, "1023"},
		{1 << 10, "1Ki"},
		{1536 << 20, "1536Mi"},
		{10 << 30, "10Gi"},
		{10<<30 - 1, "10239Mi"},
		{1<<63 - 1, "8191Pi"},
	} {
		if got := formatSize(test.bytes); got != test.want {
			t.Errorf("%d bytes: %s, want %s", test.bytes, got, test.want)
		}
	}
}

func TestParseClass(t *testing.T) {
	for _, test := range []struct {
		name       string
		parameters map[string]string
		want       Class
		ok         bool
	}{
		{"nothing", nil, defaultClass, true},
		{"everything", map[string]string{"pool": "nvme", "mode": "2770", "uid": "1000", "gid": "2000", "quota": "required", "trashTTL": "36h"}, Class{"nvme", "2770", 1000, 2000, QuotaRequired, "36h0m0s"}, true},
		{"a short mode", map[string]string{"mode": "755"}, Class{"default", "0755", 0, 0, QuotaAuto, ""}, true},
		{"no trash", map[string]string{"trashTTL": "0s"}, Class{"default", "0777", 0, 0, QuotaAuto, "0s"}, true},
		{"a trash in days", map[string]string{"trashTTL": "7d"}, Class{}, false},
		{"a trash of the past", map[string]string{"trashTTL": "-1h"}, Class{}, false},
		{"a quota that is not known", map[string]string{"quota": "hard"}, Class{}, false},
		{"an unknown parameter", map[string]string{"quality": "best"}, Class{}, false},
		{"a pool that is a path", map[string]string{"pool": "../default"}, Class{}, false},
		{"a mode with setuid", map[string]string{"mode": "4755"}, Class{}, false},
		{"a mode that is not octal", map[string]string{"mode": "0788"}, Class{}, false},
		{"a mode in letters", map[string]string{"mode": "rwx"}, Class{}, false},
		{"a mode with a sign", map[string]string{"mode": "+755"}, Class{}, false},
		{"an empty mode", map[string]string{"mode": ""}, Class{}, false},
		{"a negative user", map[string]string{"uid": "-1"}, Class{}, false},
		{"the user that means unchanged", map[string]string{"uid": "4294967295"}, Class{}, false},
		{"a user too high", map[string]string{"uid": "4294967296"}, Class{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseClass(test.parameters)
			if errors.Is(err, errdefs.ErrInvalid) == test.ok || got != test.want {
				t.Errorf("class %+v, error %v; want %+v", got, err, test.want)
			}
		})
	}
}
