package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// TestResume and TestLimitedResume cut copies short by a restart, and ask for them again.
func TestResume(t *testing.T) { onSnapshots(t, resumes) }

func TestLimitedResume(t *testing.T) {
	onLimited(t, func(t *testing.T, base string) {
		w := &snapshotWorld{T: t, s: openStore(t, onePool(base)), base: base, limited: true}
		w.method = SnapshotSubvolume
		if d := only(t, w.s); d.filesystem == "ext4" {
			w.method = SnapshotCopy
		} else if d.filesystem == "xfs" {
			w.method = SnapshotReflink
		}
		resumes(w)
	})
}

const witness = 64 << 10

// halfCopied begins something that is a copy, has a part of it done, and restarts. The
// copied witness is one of its own kind, so that it can be told from another copy.
func (w *snapshotWorld) halfCopied(building, original, source string, begin func(ctx context.Context) (time.Time, error)) {
	w.Helper()
	d, before := only(w.T, w.s), w.s
	for range maxCopies { // others are at it
		d.copies <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(w.Context(), 100*time.Millisecond)
	defer cancel()
	began, err := begin(ctx)
	check(w.T, err)
	data := building + "/data"
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Lstat(data); err == nil || time.Now().After(deadline) {
			break
		}
	}
	writeFile(w.T, data+"/witness", strings.Repeat("k", witness))
	writeFile(w.T, data+"/other", strings.Repeat("k", witness))
	writeFile(w.T, data+"/extra", "k")
	writeFile(w.T, building+"/"+copyFile, fmt.Sprintf(`{"source": %q, "began": %q}`, source, began.Format(time.RFC3339Nano)))
	var st unix.Stat_t
	check(w.T, unix.Lstat(original+"/witness", &st))
	check(w.T, unix.UtimesNanoAt(unix.AT_FDCWD, data+"/witness", []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW))
	w.Cleanup(func() { // as the end of the process would have
		jobs := before.jobs.atWork()
		for _, j := range jobs {
			j.cancel()
			<-j.done
		}
	})
	w.s = reopen(w.T, w.s)
	w.wantWell()
}

// wantCopy looks at a copy: has it gone on, or begun anew?
func (w *snapshotWorld) wantCopy(path string, resumed bool) {
	w.Helper()
	want := "v"
	if resumed && w.method == SnapshotCopy { // what shares blocks is shared anew
		want = "k"
	}
	for file, letter := range map[string]string{"witness": want, "other": "v"} {
		if got, err := os.ReadFile(path + "/" + file); err != nil || string(got) != strings.Repeat(letter, witness) {
			w.Errorf("%s has %d bytes of %.1q, want %d of %q: %v", file, len(got), got, witness, letter, err)
		}
	}
	for _, file := range []string{path + "/extra", filepath.Dir(path) + "/" + copyFile} {
		if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			w.Errorf("%s is there (%v)", file, err)
		}
	}
}

func resumes(w *snapshotWorld) {
	if w.method == SnapshotSubvolume {
		w.Skip("no files are copied")
	}
	v := w.volume("pvc-1")
	for _, file := range []string{"witness", "other"} {
		writeFile(w.T, v.Path+"/"+file, strings.Repeat("v", witness))
	}
	time.Sleep(clockStep + 50*time.Millisecond) // what is written from now on may be newer than its copy
	req := snapshotOf(v, "snapshot-1")
	building := w.base + "/snapshots/.new-snapshot-1"
	var began time.Time
	snapshot := func(ctx context.Context) (time.Time, error) {
		plan, err := w.s.CreateSnapshot(ctx, req, anyUse)
		began = plan.Created
		return began, err
	}
	again := func(resumed bool) Snapshot {
		w.Helper()
		made := w.take(req)
		w.wantCopy(made.Path, resumed)
		if made.Created.Equal(began) != resumed || resumed && made.Consistency != config.ConsistencyAny || made.Method != w.method {
			w.Errorf("made %+v, begun %s", made, began)
		}
		w.wantWell()
		return made
	}
	remove := func(s Snapshot) { check(w.T, w.s.DeleteSnapshot(w.Context(), s.ID)) }

	w.halfCopied(building, v.Path, v.ID, snapshot)
	remove(again(true))

	w.halfCopied(building, v.Path, v.ID, snapshot)
	check(w.T, os.Remove(building+"/"+copyFile))
	w.s = reopen(w.T, w.s)
	remove(again(false)) // no checkpoint was reached

	w.halfCopied(building, v.Path, v.ID, snapshot)
	req.Class.Consistency = config.ConsistencyIdle
	made := again(false) // else nobody knows whether somebody wrote
	req.Class.Consistency = config.ConsistencyAny
	remove(made)

	w.halfCopied(building, v.Path, v.ID, snapshot)
	wantClass(w.T, w.s.DeleteSnapshot(w.Context(), made.ID), errdefs.ErrNotFound)
	wantNames(w.T, w.base+"/snapshots")

	w.halfCopied(building, v.Path, v.ID, snapshot)
	d, key := only(w.T, w.s), snapshotLock("snapshot-1")
	w.s.dropUnfinished(w.Context(), d)
	if !d.keeps(key) {
		w.Error("it is not kept")
	}
	d.mu.Lock()
	d.unfinished[key] = unfinished{disk.SnapshotsDir, ".new-snapshot-1", time.Now().Add(-resumePatience)}
	d.mu.Unlock()
	w.s.dropUnfinished(w.Context(), d)
	wantNames(w.T, w.base+"/snapshots")

	// A volume that begins as a copy.
	source := w.take(req)
	building = w.base + "/volumes/.new-pvc-2"
	order := w.from(source.ID, "pvc-2", v.CapacityBytes)
	restore := func(ctx context.Context) (time.Time, error) {
		if _, err := w.s.Create(ctx, order); !errors.Is(err, errdefs.ErrBusy) {
			return time.Time{}, errors.Join(errors.New("not at work"), err)
		}
		return time.Now(), nil
	}
	w.halfCopied(building, source.Path, source.ID, restore)
	restored := mustCreate(w.T, w.s, order)
	w.wantCopy(restored.Path, true)
	if w.limited != (restored.Quota != nil) {
		w.Errorf("restored: %+v", restored)
	}
	w.wantWell()
	mustDelete(w.T, w.s, restored.ID)

	w.halfCopied(building, source.Path, source.ID, restore)
	order.RequiredBytes += mebibyte
	restored = mustCreate(w.T, w.s, order) // another request
	w.wantCopy(restored.Path, false)
	w.wantWell()

	mustDelete(w.T, w.s, restored.ID)
	mustDelete(w.T, w.s, v.ID)
	remove(source)
	w.nothingIsLeft()
}
