package store

import (
	"errors"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// harmless tells whether a name is one component that stays in its directory.
func harmless(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 255 && !strings.ContainsAny(name, "/\x00")
}

func FuzzVolumeID(f *testing.F) {
	f.Add(testUUID + ".pvc-1")
	f.Add(testUUID + ".../../etc")
	f.Add("../" + testUUID + ".pvc-1")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseVolumeID(s)
		if err != nil {
			if !errors.Is(err, errdefs.ErrNotFound) {
				t.Errorf("error %v", err)
			}
			return
		}
		if id.String() != s || len(s) > 100 || !harmless(id.Name) || strings.HasPrefix(id.Name, ".") {
			t.Errorf("%q is parsed to %q in %q", s, id.Name, id.Base)
		}
	})
}

func FuzzDirectoryName(f *testing.F) {
	f.Add("pvc-1")
	f.Add("../../etc")
	f.Add("sha256-0000000000000000000000000000000000000000")
	f.Add("🐘\n")
	f.Fuzz(func(t *testing.T, s string) {
		name, err := directoryName(s)
		if err != nil {
			if !errors.Is(err, errdefs.ErrInvalid) {
				t.Errorf("error %v", err)
			}
			return
		}
		id := VolumeID{Base: testUUID, Name: name}
		if parsed, err := ParseVolumeID(id.String()); err != nil || parsed != id || !harmless(name) {
			t.Errorf("the directory of %q is %q, which makes the ID %v, %v", s, name, parsed, err)
		}
		// A name either is its directory's, or nobody's can be that.
		if again, err := directoryName(name); name != s && (err != nil || again == name) {
			t.Errorf("the volume called %q would get the directory of %q", name, s)
		}
	})
}

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
		if mode := c.mode(); mode > 0o3777 || len(c.Mode) != 4 {
			t.Errorf("mode %q is %o", c.Mode, mode)
		}
		if c.UID == 1<<32-1 || c.GID == 1<<32-1 || !poolNamePattern.MatchString(c.Pool) {
			t.Errorf("class %+v", c)
		}
		if ttl, ok := c.ttl(); ok != (c.TrashTTL != "") || ttl < 0 {
			t.Errorf("trashTTL %q is %s, %t", c.TrashTTL, ttl, ok)
		}
	})
}

// FuzzClaimLink reads what a link below claims/ may hold.
func FuzzClaimLink(f *testing.F) {
	f.Add("../../volumes/pvc-1/data")
	f.Add("../../volumes/a/b/data")
	f.Add("../../volumes/../data")
	f.Add("../../volumes/..")
	f.Add("/etc")
	f.Fuzz(func(t *testing.T, target string) {
		name := linkedVolume(target)
		if name == "" {
			return
		}
		if linkTarget(name) != target || !harmless(name) {
			t.Errorf("the link to %q leads to the volume %q", target, name)
		}
	})
}

// FuzzTrashName reads what somebody may have put into the trash.
func FuzzTrashName(f *testing.F) {
	f.Add("pvc-1.20261123T184417Z." + testUUID)
	f.Add("pvc-1.purge." + testUUID)
	f.Add("pvc-1." + testUUID)
	f.Add(".new-pvc-1.20261123T184417Z." + testUUID)
	f.Add("..." + testUUID)
	f.Fuzz(func(t *testing.T, file string) {
		e, ok := parseTrashName(file)
		if !ok || !harmless(file) {
			return
		}
		if e.file != file || e.name == "" || !strings.HasPrefix(file, e.name+".") {
			t.Errorf("%q is read as %+v", file, e)
		}
		doomed, ok := parseTrashName(e.doomedName())
		if !ok || !doomed.isDoomed() || doomed.doomedName() != e.doomedName() || !harmless(doomed.file) {
			t.Errorf("%q is called %q while it is purged, which is read as %+v", file, e.doomedName(), doomed)
		}
		if !e.deleted.IsZero() && doomed.name != e.name {
			t.Errorf("%q is of %q, and while it is purged of %q", file, e.name, doomed.name)
		}
	})
}

// FuzzTrashNameOf reads the names that entries of the trash are given.
func FuzzTrashNameOf(f *testing.F) {
	f.Add("pvc-1", int64(1764000000))
	f.Add("pvc.1.purge", int64(0))
	f.Fuzz(func(t *testing.T, volume string, seconds int64) {
		name, err := directoryName(volume)
		deleted := time.Unix(seconds, 0).UTC()
		if err != nil || deleted.Year() < 1 || deleted.Year() > 9999 || deleted.IsZero() {
			return
		}
		for _, name := range []string{name, newPrefix + name} {
			e, ok := parseTrashName(trashName(name, deleted))
			if !ok || e.name != name || !e.deleted.Equal(deleted) {
				t.Errorf("%q, deleted %s, is read as %+v", name, deleted, e)
			}
		}
	})
}

func FuzzSize(f *testing.F) {
	f.Add("10Gi", int64(10<<30), 5.0)
	f.Add("9223372036854775807", int64(1), 0.0)
	f.Add("8Ei", int64(-1), 99.9)
	f.Fuzz(func(t *testing.T, s string, n int64, percent float64) {
		if size, err := parseSize(s); err == nil && size < 0 {
			t.Errorf("%q is %d bytes", s, size)
		}
		if n < 0 {
			return
		}
		text := formatSize(n)
		shown, err := parseSize(text)
		if err != nil || shown > n || shown < n-n/1024 || formatSize(shown) != text {
			t.Errorf("%d bytes are shown as %s, which are %d (%v)", n, text, shown, err)
		}
		r := Reserve{percent: percent}
		if percent >= 0 && percent < 100 && (r.of(n) < 0 || r.of(n) > n) {
			t.Errorf("%v%% of %d bytes are %d", percent, n, r.of(n))
		}
		o := Overcommit{percent}
		if percent > -1 && percent < maxOvercommit && o.of(n) < 0 {
			t.Errorf("%v times %d bytes are %d", 1+percent, n, o.of(n))
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("pools: [{name: default, paths: [/var/lib/hostdir]}]"))
	f.Add([]byte("pools:\n- name: nvme\n  paths: [/mnt/nvme*]\n  requireMountPoint: true\n  reserve: 5%\n  overcommit: 1.5\n  trashTTL: 24h\n  minTrashTTL: 1h\n"))
	f.Add([]byte(`{"nodes": [{"match": ["gpu-*"], "pools": [{"name": "a", "paths": ["/a"], "reserve": "10Gi"}]}], "projectIDs": {"first": 1, "last": 2}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			if !errors.Is(err, errdefs.ErrInvalid) {
				t.Errorf("error %v", err)
			}
			return
		}
		if c.ProjectIDs.First == 0 || c.ProjectIDs.First > c.ProjectIDs.Last {
			t.Errorf("project IDs %+v", c.ProjectIDs)
		}
		lists := [][]Pool{c.Pools, c.PoolsFor("node-1")}
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
	if !poolNamePattern.MatchString(p.Name) || len(p.Paths) == 0 || p.TrashTTL < 0 || p.minTrashTTL() < 0 {
		t.Errorf("pool %+v", p)
	}
	for _, dir := range p.Paths {
		if !path.IsAbs(dir) || path.Clean(dir) != dir || dir == "/" {
			t.Errorf("base directory %q", dir)
		}
	}
	const disk = 1 << 40
	if of := p.Reserve.of(disk); of < 0 {
		t.Errorf("a reserve of %d bytes", of)
	}
	if of := p.Overcommit.of(disk); of < 0 {
		t.Errorf("an overcommit to %d bytes", of)
	}
}
