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
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/plugin"
)

// check compares what a running node serves after a power cut with what the cut
// may have left, finishes what was under way, and reports all that is wrong.
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
		c := may.underWay[name]
		err := n.do(c)
		if err != nil && n.limited {
			// After a power cut btrfs gives IDs of subvolumes a second time. The
			// purge of what had one before may take the limit of what has it now.
			err = n.do(c)
		}
		if err != nil && !isBack(c, err) {
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

// marker returns the disk's UUID.
func (n *node) marker() (string, error) {
	data, err := os.ReadFile(filepath.Join(n.Base, "disk.json"))
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
	listed, err := n.listed(ctx, pool)
	if err != nil {
		return append(wrong, err.Error())
	}
	kept, err := n.kept(ctx)
	if err != nil {
		return append(wrong, err.Error())
	}
	snapshots, err := n.snapshots(ctx, pool)
	if err != nil {
		return append(wrong, err.Error())
	}
	links := map[string]string{}
	for name := range snapshots {
		if may[name] == nil {
			failed("snapshot %s is listed, and was never asked for", name)
		}
	}
	for name := range listed {
		if may[name] == nil {
			failed("volume %s is listed, and was never asked for", name)
		}
	}
	for name, states := range may {
		seen := kept[name]
		if s := snapshots[name]; s != nil {
			seen = s
		}
		if v := listed[name]; v != nil {
			if seen != nil {
				failed("volume %s is listed, and in the trash as well", name)
			}
			if seen, err = n.look(ctx, v, name); err != nil {
				failed("volume %s: %v", name, err)
				continue
			}
			if seen.claim != (store.Claim{}) {
				links[seen.claim.Namespace+"/"+seen.claim.Name] = "../../volumes/" + name + "/data"
			}
		}
		if !slices.ContainsFunc(states, seen.is) {
			failed("volume %s: there is %s, there must be %s", name, seen, states)
		}
	}
	if onDisk, err := names(filepath.Join(n.Base, "snapshots")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		failed("%v", err)
	} else if want := slices.Sorted(maps.Keys(snapshots)); !slices.Equal(onDisk, want) {
		failed("snapshots/ holds %q, the program lists %q", onDisk, want)
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

// listed are the volumes that the program lists, by name.
func (n *node) listed(ctx context.Context, pool string) (map[string]*csi.Volume, error) {
	resp, err := n.clients.ListVolumes(ctx, &csi.ListVolumesRequest{})
	if err != nil {
		return nil, err
	}
	all := map[string]*csi.Volume{}
	for _, entry := range resp.GetEntries() {
		name, found := strings.CutPrefix(entry.GetVolume().GetVolumeId(), pool+".")
		if !found || all[name] != nil {
			return nil, fmt.Errorf("%s is listed twice or of another pool", entry.GetVolume())
		}
		all[name] = entry.GetVolume()
	}
	return all, nil
}

// snapshots are those that the program lists, by name, with what is in them.
func (n *node) snapshots(ctx context.Context, pool string) (map[string]*volume, error) {
	resp, err := n.clients.ListSnapshots(ctx, &csi.ListSnapshotsRequest{})
	if err != nil {
		return nil, err
	}
	all := map[string]*volume{}
	for _, entry := range resp.GetEntries() {
		name, found := strings.CutPrefix(entry.GetSnapshot().GetSnapshotId(), pool+".snapshots.")
		if !found || !entry.GetSnapshot().GetReadyToUse() {
			return nil, fmt.Errorf("%s is of another pool, or not ready", entry.GetSnapshot())
		}
		dir := filepath.Join(n.Base, "snapshots", name)
		data, err := os.ReadFile(filepath.Join(dir, "snapshot.json"))
		if err != nil {
			return nil, err
		}
		var record store.SnapshotRecord
		if err := json.Unmarshal(data, &record); err != nil {
			return nil, err
		}
		// Of its class nothing is kept but what its directory has.
		v := &volume{snapshot: true, claim: record.Claim, capacity: record.CapacityBytes}
		if v.files, err = readFiles(filepath.Join(dir, "data")); err != nil {
			return nil, err
		}
		all[name] = v
	}
	return all, nil
}

// kept are the deleted volumes that can be brought back, by name.
func (n *node) kept(ctx context.Context) (map[string]*volume, error) {
	trash, err := n.operator().Trash(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]*volume{}
	for _, d := range trash.Volumes {
		if isPurged(d) {
			continue
		}
		if all[d.Name] != nil {
			return nil, fmt.Errorf("volume %s is in the trash twice", d.Name)
		}
		record, err := readRecord(d.Path)
		if err != nil {
			return nil, err
		}
		v := volumeOf(record)
		v.deleted = true
		if v.files, err = readFiles(filepath.Join(d.Path, "data")); err != nil {
			return nil, err
		}
		all[d.Name] = v
	}
	return all, nil
}

// isPurged reports that nothing is left of a deleted volume any more.
func isPurged(d admin.DeletedVolume) bool { return d.PurgeAt == nil || d.PurgeAt.Before(time.Now()) }

// look finds out what a volume is: from its record, its data directory and, as a
// pod sees it, its files.
func (n *node) look(ctx context.Context, listed *csi.Volume, name string) (*volume, error) {
	record, err := readRecord(filepath.Join(n.Base, "volumes", name))
	if err != nil {
		return nil, err
	}
	want := store.Record{
		Version: 1, ID: listed.GetVolumeId(), Name: name, CapacityBytes: listed.GetCapacityBytes(), Node: plugin.NodeName,
		AccessModes: []string{"ReadWriteOnce"}, Class: record.Class, Claim: record.Claim, Quota: record.Quota, Subvolume: record.Subvolume, Created: record.Created,
		Source: record.Source, Origin: record.Origin,
	}
	if !reflect.DeepEqual(record, want) {
		return nil, fmt.Errorf("its record is %+v, listed is %v", record, listed)
	}
	v := volumeOf(record)
	err = n.publish(ctx, n.clients, listed.GetVolumeId(), name, func(dir string) (err error) {
		v.files, err = readFiles(dir)
		return err
	})
	return v, err
}

func volumeOf(r store.Record) *volume {
	return &volume{claim: r.Claim, class: r.Class, capacity: r.CapacityBytes}
}

func readRecord(dir string) (r store.Record, err error) {
	data, err := os.ReadFile(filepath.Join(dir, "volume.json"))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	return r, err
}

// readFiles reads what is in a data directory, whose mode and owner must be those
// of its class.
func readFiles(dir string) (map[string]string, error) {
	var stat unix.Stat_t
	if err := unix.Stat(dir, &stat); err != nil {
		return nil, err
	}
	is := fmt.Sprintf("%04o %d %d", stat.Mode&^unix.S_IFMT, stat.Uid, stat.Gid)
	if want := fmt.Sprintf("%s %d %d", class.Mode, class.UID, class.GID); is != want {
		return nil, fmt.Errorf("mode and owner of %s are %s, not %s", dir, is, want)
	}
	all, err := names(dir)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, name := range all {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		files[name] = string(content)
	}
	return files, nil
}

// is reports whether what was seen agrees with what there may be.
func (v *volume) is(may *volume) bool {
	if v == nil || may == nil {
		return v == may
	}
	if v.claim != may.claim || v.class != may.class && !v.snapshot || v.capacity != may.capacity || v.deleted != may.deleted || v.snapshot != may.snapshot {
		return false
	}
	for file, content := range may.files {
		if v.files[file] != content {
			return false
		}
	}
	for file := range v.files { // not synced, perhaps, but of no other volume
		if _, copied := may.files[file]; !copied && !strings.HasPrefix(file, may.claim.Name+".") {
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

// waitPurged waits until nothing that is purged takes room any more.
func (n *node) waitPurged() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for ; ; time.Sleep(10 * time.Millisecond) {
		trash, err := n.operator().Trash(ctx)
		if err != nil {
			return fmt.Errorf("the trash is not empty: %w %+v", err, trash)
		}
		if !slices.ContainsFunc(trash.Volumes, isPurged) {
			return nil
		}
	}
}
