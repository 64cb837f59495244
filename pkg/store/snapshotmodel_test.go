package store

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// snapshotModel is what a store has to hold: the content of each volume's only file and
// of each snapshot's, by name.
type snapshotModel struct {
	*snapshotWorld
	random    *rand.Rand
	made      int
	volumes   map[string]string
	snapshots map[string]string
	ids       map[string]string // of both
	trail     []string
}

// TestSnapshotsAgainstModel does to volumes and snapshots what comes to its mind, with
// restarts in between, and compares all with a model.
func TestSnapshotsAgainstModel(t *testing.T) {
	onSnapshots(t, func(w *snapshotWorld) {
		seed := rand.Uint64()
		m := &snapshotModel{snapshotWorld: w, random: rand.New(rand.NewPCG(seed, 0)), volumes: map[string]string{}, snapshots: map[string]string{}, ids: map[string]string{}}
		steps := []func(){m.create, m.write, m.write, m.snapshot, m.snapshot, m.restore, m.clone, m.deleteVolume, m.deleteSnapshot, m.again, m.restart, m.purge}
		for range 150 {
			steps[m.random.IntN(len(steps))]()
			if m.compare(); w.Failed() {
				w.Fatalf("seed %d: %q", seed, m.trail)
			}
		}
		w.wantWell()
		for name := range m.volumes {
			mustDelete(w.T, w.s, m.ids[name])
		}
		for name := range m.snapshots {
			if err := w.s.DeleteSnapshot(w.Context(), m.ids[name]); err != nil {
				w.Error(err)
			}
		}
		w.nothingIsLeft()
	})
}

func (m *snapshotModel) did(format string, args ...any) {
	m.trail = append(m.trail, fmt.Sprintf(format, args...))
}

func (m *snapshotModel) next(kind string) string {
	m.made++
	return fmt.Sprintf("%s-%d", kind, m.made)
}

// some returns a name, "" if there is none.
func (m *snapshotModel) some(of map[string]string) string {
	if len(of) == 0 {
		return ""
	}
	return slices.Sorted(maps.Keys(of))[m.random.IntN(len(of))]
}

func (m *snapshotModel) path(name string) string { return m.base + "/volumes/" + name + "/data/file" }

func (m *snapshotModel) create() {
	if len(m.volumes) > 5 {
		return
	}
	name := m.next("pvc")
	m.did("create %s", name)
	m.ids[name] = mustCreate(m.T, m.s, request(name)).ID
	m.volumes[name] = ""
	m.put(name)
}

func (m *snapshotModel) put(name string) {
	m.volumes[name] = fmt.Sprintf("content %d", m.random.Uint64())
	writeFile(m.T, m.path(name), m.volumes[name])
}

func (m *snapshotModel) write() {
	if name := m.some(m.volumes); name != "" {
		m.did("write %s", name)
		m.put(name)
	}
}

func (m *snapshotModel) snapshot() {
	volume := m.some(m.volumes)
	if volume == "" || len(m.snapshots) > 8 {
		return
	}
	name := m.next("snapshot")
	m.did("snapshot %s of %s", name, volume)
	m.ids[name] = m.take(snapshotOf(Volume{Record: Record{ID: m.ids[volume]}}, name)).ID
	m.snapshots[name] = m.volumes[volume]
}

func (m *snapshotModel) restore() { m.begin(m.snapshots) }
func (m *snapshotModel) clone()   { m.begin(m.volumes) }

func (m *snapshotModel) begin(sources map[string]string) {
	source := m.some(sources)
	if source == "" || len(m.volumes) > 5 {
		return
	}
	name := m.next("pvc")
	m.did("%s of %s", name, source)
	m.ids[name] = mustCreate(m.T, m.s, m.from(m.ids[source], name, 0)).ID
	m.volumes[name] = sources[source]
}

func (m *snapshotModel) deleteVolume() {
	if name := m.some(m.volumes); name != "" {
		m.did("delete %s", name)
		mustDelete(m.T, m.s, m.ids[name])
		delete(m.volumes, name)
	}
}

func (m *snapshotModel) deleteSnapshot() {
	if name := m.some(m.snapshots); name != "" {
		m.did("delete %s", name)
		if err := m.s.DeleteSnapshot(m.Context(), m.ids[name]); err != nil {
			m.Error(err)
		}
		delete(m.snapshots, name)
	}
}

// again asks for a snapshot once more: of the volume as it was, or of another one.
func (m *snapshotModel) again() {
	name, volume := m.some(m.snapshots), m.some(m.volumes)
	if name == "" || volume == "" {
		return
	}
	m.did("%s again, of %s", name, volume)
	of, err := m.s.Snapshot(m.Context(), m.ids[name])
	if err != nil {
		m.Error(err)
	}
	again, err := m.s.CreateSnapshot(m.Context(), SnapshotRequest{Name: name, Source: m.ids[volume], Class: config.SnapshotClass{Consistency: config.ConsistencyAny}}, anyUse)
	if same := of.SourceVolume == m.ids[volume]; same && (err != nil || again.ID != m.ids[name]) || !same && !errors.Is(err, errdefs.ErrConflict) {
		m.Errorf("%+v, %v", again, err)
	}
}

func (m *snapshotModel) restart() {
	m.did("restart")
	m.s.remember(m.Context())
	m.s = reopen(m.T, m.s)
}

func (m *snapshotModel) purge() {
	m.did("purge")
	m.s.purgeAll(m.Context())
}

func (m *snapshotModel) compare() {
	m.Helper()
	var volumes, snapshots []string
	var promised int64
	for _, v := range m.s.Volumes() {
		volumes = append(volumes, v.Dir)
		promised += v.allocated()
	}
	for _, s := range m.s.Snapshots() {
		snapshots = append(snapshots, s.Dir)
		promised += s.Bytes
	}
	slices.Sort(volumes)
	slices.Sort(snapshots)
	if want := slices.Sorted(maps.Keys(m.volumes)); !slices.Equal(volumes, want) {
		m.Errorf("there are the volumes %q, want %q", volumes, want)
	}
	if want := slices.Sorted(maps.Keys(m.snapshots)); !slices.Equal(snapshots, want) {
		m.Errorf("there are the snapshots %q, want %q", snapshots, want)
	}
	if _, allocated := only(m.T, m.s).holds(); allocated != promised {
		m.Errorf("%d bytes are allocated, want %d", allocated, promised)
	}
	for name, want := range m.volumes {
		m.holds(m.path(name), want)
	}
	for name, want := range m.snapshots {
		m.holds(m.base+"/snapshots/"+name+"/data/file", want)
	}
}

func (m *snapshotModel) holds(path, want string) {
	m.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		m.Errorf("%s holds %q, %v, want %q", path, got, err, want)
	}
}
