package store

import (
	"context"
	"encoding/json"
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
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/tree"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// importWorld is a pool and a directory to import from, each mounted at a place of its
// own as in the plugin's container, and what www-0 in it held at first.
type importWorld struct {
	*testing.T
	s         *Store
	pool, old string
	reference string
	method    ImportMethod
}

const importName = "pvc-11111111-2222-3333-4444-555555555555"

// onImports runs a test on each filesystem that a directory is moved on, and from one
// that it is copied from.
func onImports(t *testing.T, test func(w *importWorld)) {
	plugin.RequireRoot(t)
	t.Parallel()
	for filesystem, size := range map[string]int64{"ext4": 128 << 20, "xfs": 300 << 20, "btrfs": 256 << 20} {
		t.Run(filesystem, func(t *testing.T) {
			t.Parallel()
			mounted := disk.Mount(t, filesystem, size)
			mkdirAll(t, mounted+"/pool")
			mkdirAll(t, mounted+"/old")
			test(newImportWorld(t, bindAt(t, mounted+"/pool"), bindAt(t, mounted+"/old"), ImportRename))
		})
	}
	t.Run("btrfs with quotas", func(t *testing.T) {
		t.Parallel()
		mounted := disk.MountLimited(t, 512<<20)
		mkdirAll(t, mounted+"/pool")
		mkdirAll(t, mounted+"/old")
		test(newImportWorld(t, bindAt(t, mounted+"/pool"), bindAt(t, mounted+"/old"), ImportCopy))
	})
	t.Run("another filesystem", func(t *testing.T) {
		t.Parallel()
		mounted, from := disk.Mount(t, "ext4", 128<<20), disk.Mount(t, "xfs", 300<<20)
		mkdirAll(t, mounted+"/pool")
		mkdirAll(t, from+"/old")
		test(newImportWorld(t, mounted+"/pool", from+"/old", ImportCopy))
	})
}

func bindAt(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(to, unix.MNT_DETACH) })
	return to
}

func newImportWorld(t *testing.T, pool, old string, method ImportMethod) *importWorld {
	t.Helper()
	w := &importWorld{T: t, pool: pool, old: old, method: method, reference: old + "-reference"}
	mkdirAll(t, w.reference)
	layImport(t, w.source())
	w.copyTree(w.source(), w.reference)
	w.s = openStore(t, onePool(pool)+fmt.Sprintf("\nimport: [%q]", old))
	return w
}

func (w *importWorld) source() string { return filepath.Join(w.old, "www-0") }

// layImport makes a directory with some of what people have.
func layImport(t *testing.T, at string) {
	t.Helper()
	mkdirAll(t, at+"/html/deep")
	writeFile(t, at+"/html/index.html", strings.Repeat("hello ", 1000))
	writeFile(t, at+"/html/deep/owned", "by somebody")
	for _, err := range []error{
		os.Link(at+"/html/index.html", at+"/index.html"), os.Symlink("html/index.html", at+"/link"), unix.Mkfifo(at+"/fifo", 0o600),
		os.Chown(at+"/html/deep/owned", 1001, 1002), unix.Setxattr(at+"/html", "user.colour", []byte("red"), 0),
		os.Truncate(at+"/html/deep/owned", 4<<20), os.Chown(at, 999, 999), unix.Chmod(at, 0o2770),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func openDir(t *testing.T, path string) *dir.Dir {
	t.Helper()
	d, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func (w *importWorld) copyTree(from, to string) {
	w.Helper()
	if _, err := tree.Copy(w.Context(), openDir(w.T, from), openDir(w.T, to), new(tree.Watch), tree.Options{}); err != nil {
		w.Fatal(err)
	}
}

// wantData checks that a directory holds what www-0 did.
func (w *importWorld) wantData(at string) {
	w.Helper()
	d, err := dir.Open(at)
	if err != nil {
		w.Fatal(err)
	}
	defer d.Close()
	if err := tree.Compare(w.Context(), openDir(w.T, w.reference), d, new(tree.Watch)); err != nil {
		w.Error(err)
	}
}

func (w *importWorld) request() ImportRequest {
	return ImportRequest{
		Name: importName, Source: w.source(), CapacityBytes: 32 * mebibyte, Class: config.Class{Mode: "0777", Quota: config.QuotaAuto},
		Claim: Claim{"shop", "www-web-0"}, PersistentVolume: "www-0-pv", Old: json.RawMessage(`{"metadata":{"name":"www-0-pv"}}`),
	}
}

// awaitImport gives an order until it is carried out.
func awaitImport(t *testing.T, give func() (Import, error)) Import {
	t.Helper()
	for {
		i, err := give()
		if err != nil {
			t.Fatal(err)
		}
		if i.Order == "" {
			return i
		}
	}
}

func (w *importWorld) mustImport() Import {
	w.Helper()
	i := awaitImport(w.T, func() (Import, error) { return w.s.Import(w.Context(), w.request(), anyUse) })
	if i.State != ImportReady || i.Method != w.method {
		w.Fatalf("%+v, want it imported by %s", i, w.method)
	}
	return i
}

func (w *importWorld) wantFindings(kinds ...Kind) {
	w.Helper()
	var got []Kind
	for _, f := range mustCheck(w.T, w.s, noMounts).Findings {
		got = append(got, f.Kind)
	}
	if fmt.Sprint(got) != fmt.Sprint(kinds) {
		w.Errorf("check finds %v, want %v", got, kinds)
	}
}

func noMounts(*os.File) ([]dir.Mount, error) { return nil, nil }

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func TestImport(t *testing.T) {
	onImports(t, func(w *importWorld) {
		plan, err := w.s.PlanImport(w.Context(), w.request(), anyUse)
		if err != nil {
			w.Fatal(err)
		}
		if plan.State != ImportPlanned || plan.Method != w.method || plan.Size.Files != 7 || plan.Disk != w.pool {
			w.Errorf("plan %+v", plan)
		}
		wantNames(w.T, filepath.Join(w.pool, volumesDir))

		i := w.mustImport()
		w.wantData(i.Path)
		if w.method == ImportRename && isThere(w.source()) {
			w.Error("what was moved is still where it was")
		}
		if w.method == ImportCopy {
			w.wantData(w.source())
		}
		w.wantFindings()
		v, err := w.s.Volume(w.Context(), i.ID)
		if err != nil || v.Imported != w.source() || v.Claim != (Claim{"shop", "www-web-0"}) || v.CapacityBytes != 32*mebibyte {
			w.Errorf("%+v, %v", v, err)
		}
		if target, err := os.Readlink(filepath.Join(w.pool, claimsDir, "shop", "www-web-0")); err != nil || target != linkTarget(importName) {
			w.Errorf("the claim's link is %q, %v", target, err)
		}

		// The same order, also after a restart.
		w.s = reopen(w.T, w.s)
		if again := w.mustImport(); again.ID != i.ID {
			w.Errorf("again: %+v", again)
		}
		all := w.s.Imports(w.Context())
		if len(all) != 1 || all[0].State != ImportReady || !json.Valid(all[0].Old) || all[0].Source != w.source() {
			w.Errorf("imports: %+v", all)
		}

		awaitImport(w.T, func() (Import, error) { return w.s.FinishImport(w.Context(), importName, anyUse) })
		w.wantData(i.Path)
		if isThere(w.source()) {
			w.Error("the old directory is still there")
		}
		if all := w.s.Imports(w.Context()); len(all) != 0 {
			w.Errorf("imports: %+v", all)
		}
		if _, err := w.s.UndoImport(w.Context(), importName, false, anyUse); !errors.Is(err, errdefs.ErrConflict) {
			w.Errorf("undone after it was finished: %v", err)
		}
		w.wantFindings()
		if i, err := w.s.FinishImport(w.Context(), importName, anyUse); err != nil || i.State != ImportFinished {
			w.Errorf("finished again: %+v, %v", i, err)
		}
		mustDelete(w.T, w.s, i.ID)
	})
}

func TestImportUndone(t *testing.T) {
	onImports(t, func(w *importWorld) {
		i := w.mustImport()
		if _, err := w.s.UndoImport(w.Context(), importName, false, func(*os.File) error { return errdefs.ErrInUse }); !errors.Is(err, errdefs.ErrInUse) {
			w.Errorf("undone while it is mounted: %v", err)
		}
		w.wantData(i.Path)
		kept := awaitImport(w.T, func() (Import, error) { return w.s.UndoImport(w.Context(), importName, true, anyUse) })
		if kept.State == ImportUndone || !json.Valid(kept.Old) {
			w.Errorf("the old PersistentVolume is not known any more: %+v", kept)
		}
		w.wantData(w.source())
		undone := awaitImport(w.T, func() (Import, error) { return w.s.UndoImport(w.Context(), importName, false, anyUse) })
		if undone.State != ImportUndone {
			w.Errorf("%+v", undone)
		}
		w.wantData(w.source())
		if isThere(filepath.Join(w.pool, volumesDir, importName)) || isThere(filepath.Join(w.pool, volumesDir, importPrefix+importName)) {
			w.Error("there is still a volume")
		}
		w.s.purgeAll(w.Context())
		w.wantFindings()
		if kept := len(w.s.Trash()); (kept == 1) != (w.method == ImportCopy) {
			w.Errorf("%d volumes are in the trash", kept)
		}
		// And all over again.
		w.wantData(w.mustImport().Path)
	})
}

// TestImportStopped ends an import at each stage that can be found on disk, starts the
// store anew, which clears away what is half built, and lets the same order go on, or
// undoes it.
func TestImportStopped(t *testing.T) {
	for _, undo := range []bool{false, true} {
		t.Run(fmt.Sprintf("undo %t", undo), func(t *testing.T) {
			onImports(t, func(w *importWorld) {
				for name, stop := range stops(w) {
					if stop == nil {
						continue
					}
					w.Logf("stopped %s", name)
					stop()
					w.s = reopen(w.T, w.s)
					w.s.purgeAll(w.Context())
					if isThere(filepath.Join(w.pool, volumesDir, importPrefix+importName)) {
						w.wantFindings(ImportUnfinished)
					}
					if undo {
						awaitImport(w.T, func() (Import, error) { return w.s.UndoImport(w.Context(), importName, false, anyUse) })
					} else {
						w.wantData(w.mustImport().Path)
						w.wantFindings()
						awaitImport(w.T, func() (Import, error) { return w.s.UndoImport(w.Context(), importName, false, anyUse) })
					}
					w.wantData(w.source())
					w.s.purgeAll(w.Context())
					w.wantFindings()
				}
			})
		})
	}
}

// stops leave an import as a crash at some point would.
func stops(w *importWorld) map[string]func() {
	d := only(w.T, w.s)
	begin := func(steps func(b *importBuild)) func() {
		return func() {
			d = only(w.T, w.s)
			p, err := w.s.planImport(w.Context(), new(longJob), w.request(), anyUse)
			if err != nil {
				w.Fatal(err)
			}
			b := &importBuild{store: w.s, job: new(longJob), disk: d, name: importName, note: p.note, record: p.record, mayUse: anyUse, openDisk: d.mustOpen(w.T)}
			steps(b)
		}
	}
	layOut := func(b *importBuild) {
		aside, err := b.layOut()
		if err != nil {
			w.Fatal(err)
		}
		w.Cleanup(func() { aside.Close() })
		b.aside = aside
	}
	must := func(err error) {
		if err != nil {
			w.Fatal(err)
		}
	}
	all := map[string]func(){
		"before the note": begin(func(*importBuild) { mkdirAll(w.T, filepath.Join(w.pool, volumesDir, importPrefix+importName)) }),
		"after the note":  begin(layOut),
		"before the commit": begin(func(b *importBuild) {
			layOut(b)
			if w.method == ImportRename {
				must(b.move(w.Context()))
			} else {
				must(b.copy(w.Context()))
			}
		}),
	}
	if w.method == ImportRename {
		all["after the rename"] = begin(func(b *importBuild) { layOut(b); must(b.rename()) })
		return all
	}
	all["in the middle of the copy"] = begin(func(b *importBuild) {
		layOut(b)
		data, done, err := b.target()
		must(err)
		done()
		data.Close()
		mkdirAll(w.T, filepath.Join(data.Name(), "html"))
		writeFile(w.T, filepath.Join(data.Name(), "html/index.html"), "half of ")
		writeFile(w.T, filepath.Join(data.Name(), "not-in-the-original"), "")
	})
	return all
}

// TestImportFinishStopped removes a part of the old directory of a copy.
func TestImportFinishStopped(t *testing.T) {
	onImports(t, func(w *importWorld) {
		if w.method == ImportRename {
			return
		}
		i := w.mustImport()
		note, err := readNote(openDir(w.T, filepath.Dir(i.Path)))
		if err != nil {
			w.Fatal(err)
		}
		note.Finishing = true
		if err := note.write(openDir(w.T, filepath.Dir(i.Path))); err != nil {
			w.Fatal(err)
		}
		if err := os.RemoveAll(w.source() + "/html"); err != nil {
			w.Fatal(err)
		}
		w.s = reopen(w.T, w.s)
		if _, err := w.s.UndoImport(w.Context(), importName, false, anyUse); !errors.Is(err, errdefs.ErrConflict) {
			w.Errorf("undone although a part of the original is gone: %v", err)
		}
		w.wantData(i.Path)
		awaitImport(w.T, func() (Import, error) { return w.s.FinishImport(w.Context(), importName, anyUse) })
		w.wantData(i.Path)
		if isThere(w.source()) {
			w.Error("the rest of the original is still there")
		}
	})
}

func TestImportFinishSpares(t *testing.T) {
	onImports(t, func(w *importWorld) {
		if w.method == ImportRename {
			return
		}
		w.mustImport()
		rename(w.T, w.source(), w.source()+"-moved")
		mkdirAll(w.T, w.source()+"/new")
		if _, err := w.s.FinishImport(w.Context(), importName, anyUse); !errors.Is(err, errdefs.ErrConflict) {
			w.Errorf("another directory in place of the original: %v", err)
		}
		if !isThere(w.source() + "/new") {
			w.Error("it was removed")
		}
	})
}

func TestImportRefused(t *testing.T) {
	plugin.RequireRoot(t)
	root := t.TempDir()
	pool, old := root+"/pool", root+"/old"
	for _, path := range []string{pool, old + "/www", old + "/around/disk", old + "/mounted", old + "/full/mounted", old + "/big", root + "/elsewhere/www"} {
		mkdirAll(t, path)
	}
	s := openStore(t, onePool(pool, old+"/around/disk")+fmt.Sprintf("\nimport: [%q]", old))
	writeFile(t, old+"/file", "")
	if err := os.Symlink(root+"/elsewhere/www", old+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(root+"/elsewhere", old+"/way"); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"/mounted", "/full/mounted"} {
		if err := unix.Mount(root+"/elsewhere", old+at, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(old+at, unix.MNT_DETACH) })
	}
	before := filesOf(t, root)
	for _, test := range []struct {
		source, says string
		change       func(*ImportRequest)
	}{
		{root + "/elsewhere/www", "none of the directories", nil},
		{old, "none of the directories", nil},
		{old + "/../elsewhere/www", "none of the directories", nil},
		{"/", "none of the directories", nil},
		{old + "/www/", "none of the directories", nil},
		{old + "/missing", "no such file", nil},
		{old + "/file", "not a directory", nil},
		{old + "/link", "symbolic link", nil},
		{old + "/way/www", "symbolic link", nil},
		{old + "/mounted", "is a mount", nil},
		{old + "/mounted/www", "a mount", nil},
		{old + "/full", "a mount", nil},
		{old + "/around", "lie within each other", nil},
		{old + "/around/disk", "lie within each other", nil},
		{old + "/around/disk/volumes", "lie within each other", nil},
		{old + "/www", "no pool", func(r *ImportRequest) { r.Class.Pool = "other" }},
		{old + "/www", "not a claim's name", func(r *ImportRequest) { r.Claim.Name = "../x" }},
		{old + "/www", "called pvc-", func(r *ImportRequest) { r.Name = "../../x" }},
		{old + "/www", "capacity", func(r *ImportRequest) { r.CapacityBytes = 0 }},
		{old + "/www", "has room for", func(r *ImportRequest) { r.CapacityBytes = 1 << 50 }},
		{old + "/www", "quota is required", func(r *ImportRequest) { r.Class.Quota = config.QuotaRequired }},
		{old + "/www", "no JSON", func(r *ImportRequest) { r.Old = json.RawMessage("{") }},
	} {
		req := ImportRequest{Name: importName, Source: test.source, CapacityBytes: mebibyte, Class: config.Class{Mode: "0777", Quota: config.QuotaOff}, Claim: Claim{"a", "b"}}
		if test.change != nil {
			test.change(&req)
		}
		for _, err := range []error{
			func() error { _, err := s.PlanImport(t.Context(), req, anyUse); return err }(),
			func() error { _, err := s.Import(t.Context(), req, anyUse); return err }(),
		} {
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v, want %q", test.source, err, test.says)
			}
		}
	}
	req := ImportRequest{Name: importName, Source: old + "/www", CapacityBytes: mebibyte, Class: config.Class{Mode: "0777", Quota: config.QuotaOff}, Claim: Claim{"a", "b"}}
	if _, err := s.Import(t.Context(), req, func(*os.File) error { return errdefs.ErrInUse }); !errors.Is(err, errdefs.ErrInUse) {
		t.Errorf("a directory in use: %v", err)
	}
	if after := filesOf(t, root); after != before {
		t.Errorf("refusals left\n%s\nbefore\n%s", after, before)
	}
}

// TestImportsApart imports within, around and instead of what another import has.
func TestImportsApart(t *testing.T) {
	onImports(t, func(w *importWorld) {
		if w.method == ImportRename {
			return
		}
		w.mustImport()
		for _, source := range []string{w.source(), w.source() + "/html"} {
			req := w.request()
			req.Name, req.Source = "pvc-other", source
			if _, err := w.s.Import(w.Context(), req, anyUse); !errors.Is(err, errdefs.ErrConflict) {
				w.Errorf("%s: %v", source, err)
			}
		}
		req := w.request()
		req.Source = w.old + "/other"
		if _, err := w.s.Import(w.Context(), req, anyUse); !errors.Is(err, errdefs.ErrConflict) {
			w.Errorf("another source for the same volume: %v", err)
		}
	})
}

// TestImportLimited holds what is imported to its capacity.
func TestImportLimited(t *testing.T) {
	onLimited(t, func(t *testing.T, base string) {
		old := filepath.Join(filepath.Dir(base), "old-"+filepath.Base(base))
		mkdirAll(t, old)
		t.Cleanup(func() { os.RemoveAll(old); os.RemoveAll(old + "-reference") })
		w := newImportWorld(t, base, old, ImportRename)
		limits, _ := only(t, w.s).limiter()
		if limits.Kind() == quota.Btrfs {
			w.method = ImportCopy
		}
		for i := range 200 {
			writeFile(t, fmt.Sprintf("%s/html/deep/%d", w.source(), i), "")
		}
		w.copyTree(w.source(), w.reference)
		req := w.request()
		req.CapacityBytes = mebibyte
		writeFile(t, w.source()+"/large", strings.Repeat("x", 2*mebibyte))
		if _, err := w.s.PlanImport(t.Context(), req, anyUse); !errors.Is(err, errdefs.ErrOutOfRange) {
			t.Errorf("more than its capacity: %v", err)
		}
		if err := os.Remove(w.source() + "/large"); err != nil {
			t.Fatal(err)
		}
		w.copyTree(w.source(), w.reference)
		big := w.request()
		big.CapacityBytes = limited
		i := awaitImport(t, func() (Import, error) { return w.s.Import(t.Context(), big, anyUse) })
		if i.Enforced != limits.Kind() || i.Method != w.method {
			t.Fatalf("%+v", i)
		}
		w.wantData(i.Path)
		data := openDir(t, i.Path)
		disk.Sync(t, i.Path)
		limit, used, err := limits.Get(data.File, i.Quota.ID)
		if err != nil || limit.Bytes != limited {
			t.Errorf("limit %+v, %v", limit, err)
		}
		const unlabelled = 2 // a symbolic link and a FIFO, before Linux 6.17
		if limits.Kind() != quota.Btrfs && used.Inodes != i.Size.Files && used.Inodes != i.Size.Files-unlabelled {
			t.Errorf("%d files count, %d are there", used.Inodes, i.Size.Files)
		}
		w.wantFindings()
		v := Volume{Record: i.Record, Path: i.Path}
		filler := openFile(t, v, "html/filler")
		fillUp(t, v, filler, limited-used.Bytes)
		filler.Close()
		if err := os.Remove(filler.Name()); err != nil {
			t.Fatal(err)
		}
		data.Close()
		w.copyTree(i.Path, w.reference) // times have changed
		if w.method == ImportCopy {
			return // the original is as it was: TestImportUndone
		}
		awaitImport(t, func() (Import, error) { return w.s.UndoImport(t.Context(), importName, false, anyUse) })
		w.wantData(w.source())
		if p, err := quota.ProjectOf(openDir(t, w.source()).File); err != nil || p != (quota.Project{}) {
			t.Errorf("undone, it is of %+v, %v", p, err)
		}
		if is, err := limits.Used(openDir(t, w.source()).File, i.Quota.ID); err != nil || is {
			t.Errorf("undone, its ID is still used (%v)", err)
		}
		w.wantFindings()
	})
}

// TestImportedInodes brings more files than a volume of its size may have.
func TestImportedInodes(t *testing.T) {
	for _, test := range []struct {
		class        string
		files, limit int64
		want         int64
	}{
		{"", 100, usualInodes, usualInodes},
		{"", 100_000, usualInodes, 200_000},
		{"1000000", 100_000, 1_000_000, 1_000_000},
		{"none", 100_000, 0, 0},
	} {
		b := &importBuild{note: importNote{Files: test.files}, record: Record{Class: config.Class{Inodes: test.class}}}
		if got := b.inodes(quota.Limit{Inodes: test.limit}); got != test.want {
			t.Errorf("%d files, inodes=%q: %d, want %d", test.files, test.class, got, test.want)
		}
	}
}

// TestImportIsMetAgain has callers that leave and ask again, and other orders meanwhile.
func TestImportIsMetAgain(t *testing.T) {
	s, _ := newStore(t)
	w := &importWorld{T: t, s: s}
	began, end := make(chan struct{}), make(chan struct{})
	do := func(order string) (bool, error) {
		return w.s.carryOut(t.Context(), importName, order, stay, func(_ context.Context, j *longJob) error {
			j.begin(Copying, tree.Size{Bytes: 10}, nil).Bytes.Add(3)
			close(began)
			<-end
			return errdefs.ErrInUse
		})
	}
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	done, err := w.s.carryOut(ctx, importName, "import", stay, func(_ context.Context, j *longJob) error {
		j.begin(Copying, tree.Size{Bytes: 10}, nil).Bytes.Add(3)
		close(began)
		<-end
		return errdefs.ErrInUse
	})
	if done || err != nil {
		t.Errorf("done %t, %v", done, err)
	}
	<-began
	order, p := w.s.jobs.running(importName)
	if order != "import" || p == nil || p.Phase != Copying || p.Bytes != 3 || p.TotalBytes != 10 {
		t.Errorf("%s, %+v", order, p)
	}
	if _, err := do("undo"); !errors.Is(err, errdefs.ErrBusy) {
		t.Errorf("another order: %v", err)
	}
	if _, err := w.s.locks.lock(importName); !errors.Is(err, errdefs.ErrBusy) {
		t.Errorf("the volume's lock: %v", err)
	}
	close(end)
	if done, err := do("import"); !done || !errors.Is(err, errdefs.ErrInUse) {
		t.Errorf("done %t, %v", done, err)
	}
	if order, _ := w.s.jobs.running(importName); order != "" {
		t.Errorf("%s is still at work", order)
	}
}
