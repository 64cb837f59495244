package powercut

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/plugin"
)

// check compares what a running node serves after a power cut with what the cut
// may have left, finishes what was under way, and tells all that is wrong.
func (n *node) check(t *testing.T, may present) (wrong []string) {
	t.Helper()
	failed := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }

	pool, err := n.marker()
	if err != nil {
		return append(wrong, err.Error())
	}
	if may.pool != "" && pool != may.pool {
		failed("the pool that served was %s, it is %s now", may.pool, pool)
	}
	n.history = history{before: may.volumes, pool: may.pool}
	wrong = append(wrong, n.compare(pool, may.volumes)...)

	for _, name := range slices.Sorted(maps.Keys(may.underWay)) {
		if err := n.do(may.underWay[name]); err != nil {
			failed("finish what was under way: %v", err)
		}
	}
	if err := n.do(call{kind: create, name: "pvc-after", capacity: mebibyte, class: class}); err != nil {
		failed("a new volume: %v", err)
	}
	if len(wrong) == 0 { // or the same would be said twice
		wrong = n.compare(pool, n.history.at(never-1).volumes)
	}
	return wrong
}

// marker returns the pool's UUID.
func (n *node) marker() (string, error) {
	data, err := os.ReadFile(filepath.Join(n.Base, "pool.json"))
	if err != nil {
		return "", err
	}
	var marker struct{ UUID string }
	err = json.Unmarshal(data, &marker)
	return marker.UUID, err
}

// compare looks at every volume, and at what is on disk besides.
func (n *node) compare(pool string, may map[string][]*volume) (wrong []string) {
	failed := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	resp, err := n.clients.ListVolumes(ctx, &csi.ListVolumesRequest{})
	if err != nil {
		return append(wrong, err.Error())
	}
	listed := map[string]*csi.Volume{}
	for _, entry := range resp.GetEntries() {
		name := strings.TrimPrefix(entry.GetVolume().GetVolumeId(), pool+".")
		if listed[name] != nil {
			failed("volume %s is listed twice", name)
		}
		listed[name] = entry.GetVolume()
		if may[name] == nil {
			failed("volume %s is listed, and was never asked for", name)
		}
	}
	links := map[string]string{}
	for name, states := range may {
		v := listed[name]
		if v == nil {
			if !slices.Contains(states, nil) {
				failed("volume %s is lost: there must be %s", name, states)
			}
			continue
		}
		seen, err := n.look(ctx, v, name)
		if err != nil {
			failed("volume %s: %v", name, err)
			continue
		}
		if !slices.ContainsFunc(states, seen.is) {
			failed("volume %s has come back, or is not what it was: it is %s, there must be %s", name, seen, states)
		}
		if seen.claim != (store.Claim{}) {
			links[seen.claim.Namespace+"/"+seen.claim.Name] = "../../volumes/" + name + "/data"
		}
	}
	if onDisk, err := names(filepath.Join(n.Base, "volumes")); err != nil {
		failed("%v", err)
	} else if want := slices.Sorted(maps.Keys(listed)); !slices.Equal(onDisk, want) {
		failed("volumes/ holds %q, the program lists %q", onDisk, want)
	}
	if found, err := n.links(); err != nil {
		failed("%v", err)
	} else if !maps.Equal(found, links) {
		failed("the links below claims/ are %q, not %q", found, links)
	}
	return wrong
}

// look finds out what a volume is: from its record, its data directory and, as a
// pod sees it, its files.
func (n *node) look(ctx context.Context, listed *csi.Volume, name string) (*volume, error) {
	data, err := os.ReadFile(filepath.Join(n.Base, "volumes", name, "volume.json"))
	if err != nil {
		return nil, err
	}
	var record store.Record
	if err := json.Unmarshal(data, &record); err != nil {
		return nil, err
	}
	want := store.Record{
		Version: 1, ID: listed.GetVolumeId(), Name: name, CapacityBytes: listed.GetCapacityBytes(), Node: plugin.NodeName,
		Class: record.Class, Claim: record.Claim, Quota: record.Quota, Created: record.Created,
	}
	if record != want {
		return nil, fmt.Errorf("its record is %+v, listed is %v", record, listed)
	}
	v := &volume{claim: record.Claim, class: record.Class, capacity: record.CapacityBytes, files: map[string]string{}}
	err = n.publish(ctx, n.clients, listed.GetVolumeId(), name, func(dir string) error {
		var stat unix.Stat_t
		if err := unix.Stat(dir, &stat); err != nil {
			return err
		}
		if got := fmt.Sprintf("%04o %d %d", stat.Mode&^unix.S_IFMT, stat.Uid, stat.Gid); got != fmt.Sprintf("%s %d %d", class.Mode, class.UID, class.GID) {
			return fmt.Errorf("mode and owner of its data are %s, not those of its class", got)
		}
		files, err := names(dir)
		for _, file := range files {
			content, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				return err
			}
			v.files[file] = string(content)
		}
		return err
	})
	return v, err
}

// is tells whether what was seen agrees with what there may be.
func (v *volume) is(may *volume) bool {
	if may == nil || v.claim != may.claim || v.class != may.class || v.capacity != may.capacity {
		return false
	}
	for file, content := range may.files {
		if v.files[file] != content {
			return false
		}
	}
	for file := range v.files { // not synced, perhaps, but of no other volume
		if !strings.HasPrefix(file, may.claim.Name) {
			return false
		}
	}
	return true
}

// links are what is below claims/, by claim.
func (n *node) links() (map[string]string, error) {
	links := map[string]string{}
	claims := filepath.Join(n.Base, "claims")
	err := filepath.WalkDir(claims, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		target, err := os.Readlink(path)
		links[strings.TrimPrefix(path, claims+"/")] = target
		return err
	})
	return links, err
}

// names lists a directory.
func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all, err
}

// waitPurged waits until nothing deleted takes room any more.
func (n *node) waitPurged() error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		left, err := names(filepath.Join(n.Base, "trash"))
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("the trash still holds " + strings.Join(left, ", "))
		}
	}
}
