package config

import (
	"errors"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

func FuzzClass(f *testing.F) {
	f.Add("pool", "nvme", "mode", "2770")
	f.Add("uid", "1000", "gid", "4294967294")
	f.Add("quota", "required", "trashTTL", "168h")
	f.Add("mode", "+777", "uid", "-1")
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2 string) {
		c, err := ParseClass(map[string]string{key1: value1, key2: value2})
		if err != nil {
			if !errors.Is(err, errdefs.ErrInvalid) {
				t.Errorf("error %v", err)
			}
			return
		}
		if mode := c.FileMode(); mode > 0o3777 || len(c.Mode) != 4 {
			t.Errorf("mode %q is %o", c.Mode, mode)
		}
		if c.UID == 1<<32-1 || c.GID == 1<<32-1 || !IsLabel(c.Pool) {
			t.Errorf("class %+v", c)
		}
		if ttl, ok := c.TTL(); ok != (c.TrashTTL != "") || ttl < 0 {
			t.Errorf("trashTTL %q is %s, %t", c.TrashTTL, ttl, ok)
		}
	})
}

func FuzzSize(f *testing.F) {
	f.Add("10Gi", int64(10<<30), 5.0)
	f.Add("9223372036854775807", int64(1), 0.0)
	f.Add("8Ei", int64(-1), 99.9)
	f.Fuzz(func(t *testing.T, s string, n int64, percent float64) {
		if size, err := ParseSize(s); err == nil && size < 0 {
			t.Errorf("%q is %d bytes", s, size)
		}
		if n < 0 {
			return
		}
		text := FormatSize(n)
		if shown := sizeOf(t, text); shown > float64(n) || shown < float64(n)*0.989 || len(text) > len("99999Ki") {
			t.Errorf("%d bytes are shown as %s, which are %v", n, text, shown)
		}
		r := Reserve{percent: percent}
		if percent >= 0 && percent < 100 && (r.Of(n) < 0 || r.Of(n) > n) {
			t.Errorf("%v%% of %d bytes are %d", percent, n, r.Of(n))
		}
		o := Overcommit{percent}
		if percent > -1 && percent < maxOvercommit && o.Of(n) < 0 {
			t.Errorf("%v times %d bytes are %d", 1+percent, n, o.Of(n))
		}
	})
}

// sizeOf reads what FormatSize writes.
func sizeOf(t *testing.T, text string) float64 {
	t.Helper()
	digits := strings.TrimRight(text, "EGKMPTi")
	number, err := strconv.ParseFloat(digits, 64)
	unit := slices.Index(sizeUnits, text[len(digits):])
	if err != nil || unit < 0 {
		t.Fatalf("%q is no size (%v)", text, err)
	}
	return math.Ldexp(number, 10*unit)
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("pools: [{name: default, paths: [/var/lib/hostdir]}]"))
	f.Add([]byte("pools: [{name: a, paths: [/a], requireMountPoint: true, subPath: x/y}]"))
	f.Add([]byte("pools:\n- name: nvme\n  paths: [/mnt/nvme*]\n  requireMountPoint: true\n  reserve: 5%\n  overcommit: 1.5\n  trashTTL: 24h\n  minTrashTTL: 1h\n"))
	f.Add([]byte(`{"nodes": [{"match": ["gpu-*"], "pools": [{"name": "a", "paths": ["/a"], "reserve": "10Gi"}]}], "projectIDs": {"first": 1, "last": 2}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			if !errors.Is(err, errdefs.ErrInvalid) {
				t.Errorf("error %v", err)
			}
			return
		}
		if c.ProjectIDs.First == 0 || c.ProjectIDs.First > c.ProjectIDs.Last {
			t.Errorf("project IDs %+v", c.ProjectIDs)
		}
		ours, _ := c.PoolsFor("node-1")
		lists := [][]Pool{c.Pools, ours}
		for _, n := range c.Nodes {
			lists = append(lists, n.Pools)
		}
		for _, pools := range lists {
			for _, p := range pools {
				checkFuzzedPool(t, p)
			}
		}
	})
}

func checkFuzzedPool(t *testing.T, p Pool) {
	t.Helper()
	if !IsLabel(p.Name) || len(p.Paths) == 0 || p.TrashTTL < 0 || p.KeepAtLeast() < 0 {
		t.Errorf("pool %+v", p)
	}
	for _, dir := range p.Paths {
		if !path.IsAbs(dir) || path.Clean(dir) != dir || dir == "/" {
			t.Errorf("path %q", dir)
		}
	}
	const disk = 1 << 40
	if sub := p.SubPath; sub != "" && (path.Join("/x", sub) != "/x/"+sub || !p.RequireMountPoint) {
		t.Errorf("subPath %q", sub)
	}
	if of := p.Reserve.Of(disk); of < 0 {
		t.Errorf("a reserve of %d bytes", of)
	}
	if of := p.Overcommit.Of(disk); of < 0 {
		t.Errorf("an overcommit to %d bytes", of)
	}
}
