package store

import (
	"context"
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
)

// snapshots looks at all that is in snapshots/, and at what the plugin knows that is not
// there.
func (c *checker) snapshots(ctx context.Context, d *diskState) (ok bool) {
	var names []string
	var err error
	if !c.withDisk(d, func(o openDisk) { names, err = o.root.NamesIn(disk.SnapshotsDir) }) {
		return false
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.found(cannotRead(d.path+"/"+disk.SnapshotsDir, err))
		return true
	}
	for _, s := range d.listSnapshots() {
		names = append(names, s.Dir)
	}
	slices.Sort(names)
	for batch := range slices.Chunk(slices.Compact(names), checkBatch) {
		ok := c.withDisk(d, func(o openDisk) {
			for _, name := range batch {
				if ctx.Err() == nil {
					c.snapshot(ctx, &snapshotLook{checker: c, openDisk: o, name: name})
				}
			}
		})
		if !ok {
			return false
		}
	}
	return true
}

// snapshotLook is a look at one entry of snapshots/.
type snapshotLook struct {
	*checker
	openDisk
	name  string
	about Finding
	found func(Finding)
}

func (c *checker) snapshot(ctx context.Context, l *snapshotLook) {
	l.about.Path = l.path + "/" + disk.SnapshotsDir + "/" + l.name
	inner, building := strings.CutPrefix(l.name, newPrefix)
	look := l.entry
	switch {
	case building:
		look = l.halfMade
	case !isDirectoryName(l.name):
		if _, err := l.root.Lstat(disk.SnapshotsDir + "/" + l.name); err == nil {
			c.found(foreignFile(l.about.Path))
		}
		return
	default:
		if s := l.diskState.snapshot(l.name); s != nil {
			l.about.VolumeID, l.about.Claim = s.SourceVolume, s.Claim
		}
	}
	if j := l.store.jobs.find(snapshotLock(inner)); j != nil && !j.ended() {
		return // it may take hours
	}
	c.twice(ctx, l.about, []string{snapshotLock(inner)}, func(found func(Finding)) {
		l.found = found
		look()
	})
}

func (l *snapshotLook) tell(kind Kind, problem, remedy string, fix func() error) {
	f := l.about
	f.Kind, f.Problem, f.Remedy, f.fix = kind, problem, remedy, fix
	l.found(f)
}

// halfMade is called with the lock of the snapshot that is made there.
func (l *snapshotLook) halfMade() {
	if _, err := l.root.Lstat(disk.SnapshotsDir + "/" + l.name); err != nil || l.keeps(snapshotLock(strings.TrimPrefix(l.name, newPrefix))) {
		return
	}
	l.tell(HalfBuilt, "a snapshot was begun and not finished, and nobody works on it any more; it was never anybody's",
		"nothing needs it: the next start of hostdir's pod clears it away", func() error {
			snapshots, err := l.root.Sub(disk.SnapshotsDir)
			if err != nil {
				return err
			}
			defer snapshots.Close()
			_, err = moveToTrash(l.root, snapshots, l.name)
			l.wakePurge()
			return err
		})
}

// entry looks at a snapshot: on disk, and in the store's memory.
func (l *snapshotLook) entry() {
	known := l.diskState.snapshot(l.name)
	snapshot, err := l.root.Sub(disk.SnapshotsDir + "/" + l.name)
	if errors.Is(err, fs.ErrNotExist) {
		if known != nil {
			l.tell(MissingSnapshot, "the plugin knows the snapshot, but its directory is gone from a disk that is healthy",
				"if somebody moved it, put it back. If it was removed, the plugin may forget it; nothing can be restored from it", func() error {
					l.setSnapshot(l.name, nil)
					return nil
				})
		}
		return
	}
	var r SnapshotRecord
	if err == nil {
		defer snapshot.Close()
		r, err = readSnapshot(snapshot, l.snapshotID(l.name))
	}
	switch {
	case isOutOfReach(err):
		l.found(cannotRead(l.about.Path, err))
		return
	case err != nil:
		l.tell(Quarantined, "the snapshot is in quarantine, neither restored nor deleted: "+err.Error(),
			"its data is untouched. Restore its "+snapshotFile+" from a backup and restart hostdir's pod, or copy what you need out of "+dataDir+" and remove the directory", nil)
		return
	}
	l.about.VolumeID, l.about.Claim = r.SourceVolume, r.Claim
	if known == nil || known.Quarantine != nil || !sameSnapshot(known.SnapshotRecord, r) {
		l.tell(StaleMemory, "the plugin knows the snapshot otherwise than its record says, or not at all", "run `hostdir check --repair`: the plugin reads the record again", func() error {
			l.setSnapshot(l.name, l.snapshotAs(l.name, r))
			return nil
		})
	}
	l.files(snapshot, r)
}

func sameSnapshot(a, b SnapshotRecord) bool {
	same := a.Created.Equal(b.Created)
	a.Created, b.Created = time.Time{}, time.Time{}
	return same && reflect.DeepEqual(a, b)
}

// files looks at what is in a snapshot's directory.
func (l *snapshotLook) files(snapshot *dir.Dir, r SnapshotRecord) {
	for _, f := range slices.Concat(notOwn(snapshot, ".", l.about.Path, 0o700), notOwn(snapshot, snapshotFile, l.about.Path+"/"+snapshotFile, 0o600)) {
		f.VolumeID, f.Claim = l.about.VolumeID, l.about.Claim
		l.found(f)
	}
	names, err := snapshot.Names()
	if err != nil {
		l.found(cannotRead(l.about.Path, err))
		return
	}
	for _, name := range names {
		if name != snapshotFile && name != dataDir {
			l.found(foreignFile(l.about.Path + "/" + name))
		}
	}
	data, err := openData(snapshot, Record{ID: r.ID, Subvolume: r.Subvolume})
	switch {
	case err == nil:
		data.Close()
	case errors.Is(err, errSubvolumeLeftBehind):
		l.tell(SubvolumeLeftBehind, "nothing can be restored from the snapshot: "+strings.TrimSuffix(err.Error(), "; "+findSubvolume), findSubvolume, nil)
	case errors.Is(err, unix.EXDEV): // mounted finds it
	case isOutOfReach(err):
		l.found(cannotRead(l.about.Path+"/"+dataDir, err))
	default:
		l.tell(DataMissing, "its data directory is gone, or is none: "+err.Error(),
			"put "+dataDir+" back, from where somebody moved it; or delete the VolumeSnapshot: nothing can be restored from it", nil)
	}
}
