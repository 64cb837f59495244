package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// checkBatch is how many volumes are looked at through one descriptor of the
// base directory.
const checkBatch = 64

// volumes looks at all that is in volumes/, and at what the plugin knows that is
// not there.
func (c *checker) volumes(ctx context.Context, b *base) (ok bool) {
	var names []string
	var err error
	if !c.withBase(b, func(_ *base, pool *dir) { names, err = pool.entries(volumesDir) }) {
		return false
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false // layout has said so
	}
	if err != nil {
		c.found(cannotRead(b.path+"/"+volumesDir, err))
		return false
	}
	for _, v := range b.list() {
		if id, err := ParseVolumeID(v.ID); err == nil {
			names = append(names, id.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for batch := range slices.Chunk(names, checkBatch) {
		ok := c.withBase(b, func(b *base, pool *dir) {
			volumes, err := pool.sub(volumesDir)
			if err != nil {
				c.found(cannotRead(b.path+"/"+volumesDir, err))
				return
			}
			defer volumes.close()
			for _, name := range batch {
				if ctx.Err() == nil {
					c.volume(ctx, &volumeLook{checker: c, base: b, pool: pool, volumes: volumes, name: name})
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
	base          *base
	pool, volumes *dir
	name          string
	// about is what all findings on it have in common.
	about Finding
	found func(Finding)
	// record is that of a sound volume.
	record Record
}

func (c *checker) volume(ctx context.Context, l *volumeLook) {
	l.about.Path = l.base.path + "/" + volumesDir + "/" + l.name
	inner, building := strings.CutPrefix(l.name, newPrefix)
	look := func(found func(Finding)) { l.entry(ctx, found) }
	switch {
	case building:
		look = l.halfBuilt
	case !directoryPattern.MatchString(l.name):
		look, inner = l.foreign, ""
	default:
		l.about.VolumeID = VolumeID{Base: l.base.status().UUID, Name: l.name}.String()
		if v := l.base.volume(l.name); v != nil {
			l.about.Claim = v.Claim
		}
		c.report.Volumes++
	}
	c.look(ctx, l.about, []string{inner}, look)
	c.ownLimit(ctx, limitOwner{base: l.base, path: volumesDir + "/" + l.name, name: l.name}, l.record)
}

func (l *volumeLook) say(kind Kind, what, do string, mend func() error) {
	f := l.about
	f.Kind, f.What, f.Do, f.mend = kind, what, do, mend
	l.found(f)
}

func (l *volumeLook) foreign(found func(Finding)) {
	if _, err := l.volumes.lstat(l.name); err == nil {
		found(foreign(l.about.Path))
	}
}

// halfBuilt is called with the lock of the volume that is built there.
func (l *volumeLook) halfBuilt(found func(Finding)) {
	if _, err := l.volumes.lstat(l.name); err != nil {
		return
	}
	l.found = found
	l.say(HalfBuilt, "a volume was begun and not finished, and nobody works on it any more; it was never anybody's",
		"nothing needs it: the next start of hostdir's pod clears it away", func() error {
			if err := l.pool.moveToTrash(l.volumes, l.name); err != nil {
				return err
			}
			l.store.wakePurge()
			return nil
		})
}

// entry looks at a volume: on disk, and in the store's memory.
func (l *volumeLook) entry(ctx context.Context, found func(Finding)) {
	l.found = found
	known := l.base.volume(l.name)
	volume, err := l.volumes.sub(l.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if known != nil {
			l.missing(ctx)
		}
		return
	case err == nil:
		defer volume.close()
	}
	id := VolumeID{Base: l.base.status().UUID, Name: l.name}
	var r Record
	if err == nil {
		r, err = volume.readRecord(id)
	}
	switch {
	case outOfReach(err):
		found(cannotRead(l.about.Path, err))
		return
	case err != nil:
		l.say(Quarantined, "the volume is in quarantine, neither published nor deleted: "+err.Error(),
			"its data is untouched. Restore its "+recordFile+" from a backup and run `hostdir check --repair`, or move the directory out of "+volumesDir+"/ and copy what you need into a new claim", nil)
		return
	}
	l.record, l.about.Claim = r, r.Claim
	l.memory(known, r)
	l.files(volume, r)
}

func (l *volumeLook) missing(ctx context.Context) {
	l.say(MissingVolume, "the plugin knows the volume, but its directory is gone from a base directory that is healthy",
		"if somebody moved it, put it back. If it was removed, the plugin may forget it; the claim's data is lost, delete the claim",
		func() error {
			l.store.forget(ctx, VolumeID{Base: l.base.status().UUID, Name: l.name})
			return nil
		})
}

// memory compares what the store knows with the record.
func (l *volumeLook) memory(known *Volume, r Record) {
	take := func() error {
		v := Volume{Path: l.base.dataPath(l.name)}
		if known != nil {
			v = *known
		}
		v.Record, v.Quarantine = r, nil
		l.base.setVolume(l.name, &v)
		l.store.seenProjects(l.base)
		return nil
	}
	const again = "run `hostdir check --repair`: the plugin reads the record again"
	switch {
	case known == nil:
		l.say(UnknownVolume, "a sound volume that the plugin does not know: it came while the plugin ran", again, take)
	case known.Quarantine != nil:
		l.say(StaleMemory, "its record is sound, but the plugin still has the volume in quarantine", again, take)
	case !sameRecord(known.Record, r):
		l.say(StaleMemory, fmt.Sprintf("the plugin goes by another record than is on disk (a capacity of %s, on disk %s)", formatSize(known.CapacityBytes), formatSize(r.CapacityBytes)), again, take)
	}
}

func sameRecord(a, b Record) bool {
	sameQuota := a.Quota == b.Quota || a.Quota != nil && b.Quota != nil && *a.Quota == *b.Quota
	sameTime := a.Created.Equal(b.Created)
	a.Quota, b.Quota, a.Created, b.Created = nil, nil, time.Time{}, time.Time{}
	return sameQuota && sameTime && a == b
}

// files looks at what is in a volume's directory.
func (l *volumeLook) files(volume *dir, r Record) {
	for _, f := range slices.Concat(notOwn(volume, ".", l.about.Path, 0o700), notOwn(volume, recordFile, l.about.Path+"/"+recordFile, 0o600)) {
		f.VolumeID, f.Claim = l.about.VolumeID, l.about.Claim
		l.found(f)
	}
	names, err := volume.names()
	if err != nil {
		l.found(cannotRead(l.about.Path, err))
		return
	}
	for _, name := range names {
		path := l.about.Path + "/" + name
		switch name {
		case recordFile, dataDir:
		case recordNewFile:
			l.found(leftover(volume, name, path))
		default:
			l.found(foreign(path))
		}
	}
	data, err := volume.sub(dataDir)
	switch {
	case err == nil:
		defer data.close()
		l.limit(data, r)
	case errors.Is(err, unix.EXDEV): // mounted finds it
	case outOfReach(err):
		l.found(cannotRead(l.about.Path+"/"+dataDir, err))
	default:
		what := "its data directory is gone"
		if !errors.Is(err, fs.ErrNotExist) {
			what = "its data is not a directory: " + err.Error()
		}
		l.say(DataMissing, what, "put "+dataDir+" back, from where somebody moved it or from a backup; an empty one in its place would hide the loss", nil)
	}
}
