package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"golang.org/x/sys/unix"
)

// checkBatch is how many volumes are looked at through one descriptor of the
// disk.
const checkBatch = 64

// volumes looks at all that is in volumes/, and at what the plugin knows that is
// not there.
func (c *checker) volumes(ctx context.Context, d *diskState) (ok bool) {
	var names []string
	var err error
	if !c.withDisk(d, func(o openDisk) { names, err = o.root.NamesIn(disk.VolumesDir) }) {
		return false
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false // layout has said so
	}
	if err != nil {
		c.found(cannotRead(d.path+"/"+disk.VolumesDir, err))
		return false
	}
	for _, v := range d.list() {
		names = append(names, v.Dir)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for batch := range slices.Chunk(names, checkBatch) {
		ok := c.withDisk(d, func(o openDisk) {
			volumes, err := o.root.Sub(disk.VolumesDir)
			if err != nil {
				c.found(cannotRead(d.path+"/"+disk.VolumesDir, err))
				return
			}
			defer volumes.Close()
			for _, name := range batch {
				if ctx.Err() == nil {
					c.volume(ctx, &volumeLook{checker: c, openDisk: o, volumes: volumes, name: name})
				}
			}
		})
		if !ok {
			return false
		}
	}
	return true
}

// volumeLook is a look at one entry of volumes/.
type volumeLook struct {
	*checker
	openDisk
	volumes *dir.Dir
	name    string
	// about is what all findings on it have in common.
	about Finding
	found func(Finding)
	// record is that of a sound volume.
	record Record
}

func (c *checker) volume(ctx context.Context, l *volumeLook) {
	l.about.Path = l.path + "/" + disk.VolumesDir + "/" + l.name
	inner, building := strings.CutPrefix(l.name, newPrefix)
	look := func(found func(Finding)) { l.entry(ctx, found) }
	switch {
	case building:
		look = l.halfBuilt
	case strings.HasPrefix(l.name, importPrefix):
		inner = strings.TrimPrefix(l.name, importPrefix)
		if order, _ := l.store.jobs.running(inner); order != "" {
			return
		}
		look = l.importUnfinished
	case !isDirectoryName(l.name):
		look, inner = l.foreign, ""
	default:
		l.about.VolumeID = l.volumeID(l.name).String()
		if v := l.diskState.volume(l.name); v != nil {
			l.about.Claim = v.Claim
		}
		c.report.Volumes++
	}
	c.twice(ctx, l.about, []string{inner}, look)
	c.ownLimit(limitOwner{disk: l.diskState, path: disk.VolumesDir + "/" + l.name, name: l.name}, l.record)
}

func (l *volumeLook) tell(kind Kind, problem, remedy string, fix func() error) {
	f := l.about
	f.Kind, f.Problem, f.Remedy, f.fix = kind, problem, remedy, fix
	l.found(f)
}

func (l *volumeLook) foreign(found func(Finding)) {
	if _, err := l.volumes.Lstat(l.name); err == nil {
		found(foreignFile(l.about.Path))
	}
}

// halfBuilt is called with the lock of the volume that is built there.
func (l *volumeLook) halfBuilt(found func(Finding)) {
	if _, err := l.volumes.Lstat(l.name); err != nil || l.keeps(strings.TrimPrefix(l.name, newPrefix)) {
		return
	}
	l.found = found
	l.tell(HalfBuilt, "a volume was begun and not finished, and nobody works on it any more; it was never anybody's",
		"nothing needs it: the next start of hostdir's pod clears it away", func() error {
			if _, err := moveToTrash(l.root, l.volumes, l.name); err != nil {
				return err
			}
			l.wakePurge()
			return nil
		})
}

// importUnfinished is called with the lock of the volume that is to be.
func (l *volumeLook) importUnfinished(found func(Finding)) {
	name := strings.TrimPrefix(l.name, importPrefix)
	if _, err := l.volumes.Lstat(l.name); err != nil {
		return
	}
	l.found = found
	i, err := l.readImport(name)
	switch {
	case isOutOfReach(err):
		found(cannotRead(l.about.Path, err))
	case err != nil:
		l.tell(ImportUnfinished, "the import of a directory was begun and not finished, and what is there cannot be understood: "+err.Error(),
			"what is in "+dataDir+" may be the only copy of somebody's data: move it to a safe place, then remove the rest", nil)
	case i.stage == importNone:
		l.tell(ImportUnfinished, "an import was begun and nothing was done yet", "nothing needs it: remove it", func() error { return l.removeAside(name) })
	default:
		l.about.Claim = i.record.Claim
		l.tell(ImportUnfinished, fmt.Sprintf("the import of %s was begun and is not finished (%s), and nobody is at work on it", i.note.Source, i.note.Method),
			"`kubectl hostdir import` goes on where it stopped, and with --undo all is as it was. Never remove it by hand: it may hold the only copy of the data", nil)
	}
}

// entry looks at a volume: on disk, and in the store's memory.
func (l *volumeLook) entry(ctx context.Context, found func(Finding)) {
	l.found = found
	known := l.diskState.volume(l.name)
	volume, err := l.volumes.Sub(l.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if known != nil {
			l.missing(ctx)
		}
		return
	case err == nil:
		defer volume.Close()
	}
	var r Record
	if err == nil {
		r, err = readRecord(volume, l.volumeID(l.name))
	}
	switch {
	case isOutOfReach(err):
		found(cannotRead(l.about.Path, err))
		return
	case err != nil:
		l.tell(Quarantined, "the volume is in quarantine, neither published nor deleted: "+err.Error(),
			"its data is untouched. Restore its "+recordFile+" from a backup, which hostdir notices within a minute, or move the directory out of "+disk.VolumesDir+"/ and copy what you need into a new claim", nil)
		return
	}
	l.record, l.about.Claim = r, r.Claim
	l.memory(known, r)
	l.files(volume, r)
}

func (l *volumeLook) missing(ctx context.Context) {
	l.tell(MissingVolume, "the plugin knows the volume, but its directory is gone from a disk that is healthy",
		"if somebody moved it, put it back. If it was removed, the plugin may forget it; the claim's data is lost, delete the claim",
		func() error {
			l.forget(ctx, l.name)
			return nil
		})
}

// memory compares what the store knows with the record.
func (l *volumeLook) memory(known *Volume, r Record) {
	take := func() error {
		v := Volume{Dir: l.name, Path: l.dataPath(l.name)}
		if known != nil {
			v = *known
		}
		v.Record, v.Quarantine = r, nil
		l.setVolume(l.name, &v)
		l.store.projects.markUsed(r.Quota)
		return nil
	}
	const again = "run `hostdir check --repair`: the plugin reads the record again"
	switch {
	case known == nil:
		l.tell(UnknownVolume, "a sound volume that the plugin does not know: it came while the plugin ran", again, take)
	case known.Quarantine != nil:
		l.tell(StaleMemory, "its record is sound, but the plugin still has the volume in quarantine", again, take)
	case !sameRecord(known.Record, r):
		l.tell(StaleMemory, fmt.Sprintf("in memory the plugin has another record than on disk (a capacity of %s, on disk %s)", config.FormatSize(known.CapacityBytes), config.FormatSize(r.CapacityBytes)), again, take)
	}
}

func sameRecord(a, b Record) bool {
	if !a.Created.Equal(b.Created) {
		return false
	}
	a.Created, b.Created = time.Time{}, time.Time{}
	return reflect.DeepEqual(a, b)
}

// files looks at what is in a volume's directory.
func (l *volumeLook) files(volume *dir.Dir, r Record) {
	for _, f := range slices.Concat(notOwn(volume, ".", l.about.Path, 0o700), notOwn(volume, recordFile, l.about.Path+"/"+recordFile, 0o600)) {
		f.VolumeID, f.Claim = l.about.VolumeID, l.about.Claim
		l.found(f)
	}
	names, err := volume.Names()
	if err != nil {
		l.found(cannotRead(l.about.Path, err))
		return
	}
	for _, name := range names {
		path := l.about.Path + "/" + name
		switch name {
		case recordFile, dataDir, importFile:
		case recordNewFile, importNewFile:
			l.found(leftover(volume, name, path))
		default:
			l.found(foreignFile(path))
		}
	}
	data, err := openData(volume, r)
	switch {
	case err == nil:
		defer data.Close()
		l.limit(data, r)
	case errors.Is(err, errSubvolumeLeftBehind):
		l.tell(SubvolumeLeftBehind, "the volume is neither published nor deleted: "+strings.TrimSuffix(err.Error(), "; "+findSubvolume), findSubvolume, nil)
	case errors.Is(err, unix.EXDEV): // mounted finds it
	case isOutOfReach(err):
		l.found(cannotRead(l.about.Path+"/"+dataDir, err))
	default:
		what := "its data directory is gone"
		if !errors.Is(err, fs.ErrNotExist) {
			what = "its data is not a directory: " + err.Error()
		}
		l.tell(DataMissing, what, "put "+dataDir+" back, from where somebody moved it or from a backup; an empty one in its place would hide the loss", nil)
	}
}
