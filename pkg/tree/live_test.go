package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestCopyLive copies what others work in: each file that is always there is in the copy,
// and where blocks are shared it is what it was at one moment. A second copy, when all is
// quiet, is the original.
func TestCopyLive(t *testing.T) {
	plugin.RequireRoot(t)
	for filesystem, shares := range map[string]bool{"xfs": true, "btrfs": true, "ext4": false} {
		t.Run(filesystem, func(t *testing.T) {
			mounted := disk.Mount(t, filesystem, 512<<20)
			from, to := filepath.Join(mounted, "from"), filepath.Join(mounted, "to")
			must(t, os.MkdirAll(from+"/deep/er", 0o700), os.Mkdir(to, 0o700))
			const files = 50
			for i := range files {
				must(t, os.WriteFile(steady(from, i), page(0), 0o600))
			}
			for i := range kinds {
				must(t, makeAny(anyKind(from, i), i))
			}
			working, stop := context.WithCancel(t.Context())
			var writers sync.WaitGroup
			quiet := func() { stop(); writers.Wait() }
			defer quiet()
			for w := range 4 {
				writers.Go(func() { churn(working, t, from, uint64(w), files) })
			}
			for round := range 15 {
				shared, err := Copy(t.Context(), open(t, from), open(t, to), new(Watch), Options{Live: true})
				must(t, err)
				if shared != shares {
					t.Errorf("shared %t", shared)
				}
				for i := range files {
					content, err := os.ReadFile(steady(to, i))
					must(t, err)
					if shares && len(content) > 0 && bytes.Count(content, content[:1]) != len(content) {
						t.Fatalf("round %d: file %d is a mixture", round, i)
					}
				}
			}
			quiet()
			_, err := Copy(t.Context(), open(t, from), open(t, to), new(Watch), Options{Live: true})
			must(t, err, Compare(t.Context(), open(t, from), open(t, to), new(Watch)))
		})
	}
}

// TestCopyExchanged exchanges every file while their directory is being listed: none is
// left out.
func TestCopyExchanged(t *testing.T) {
	plugin.RequireRoot(t)
	const files = 3000 // more than are listed at a time
	for _, filesystem := range []string{"xfs", "btrfs", "ext4"} {
		t.Run(filesystem, func(t *testing.T) {
			mounted := disk.Mount(t, filesystem, 512<<20)
			from, to := filepath.Join(mounted, "from"), filepath.Join(mounted, "to")
			must(t, os.MkdirAll(from+"/deep", 0o700), os.Mkdir(to, 0o700))
			for i := range files {
				must(t, os.WriteFile(steady(from, i), nil, 0o600))
			}
			steps := 0
			exchange := func() error {
				if steps++; steps != 2 { // the first is for their directory
					return nil
				}
				for i := range files {
					must(t, os.WriteFile(from+"/aside", nil, 0o600), os.Rename(from+"/aside", steady(from, i)))
				}
				return nil
			}
			_, err := Copy(t.Context(), open(t, from), open(t, to), &Watch{Step: exchange}, Options{Live: true})
			must(t, err)
			if names, err := os.ReadDir(to + "/deep"); err != nil || len(names) != files {
				t.Errorf("the copy has %d files, want %d: %v", len(names), files, err)
			}
		})
	}
}

// TestShareCutShort goes on with a copy of a file that is cut short as it is looked at: what
// the copy had beyond its new end is gone, and it still shares its blocks.
func TestShareCutShort(t *testing.T) {
	plugin.RequireRoot(t)
	for _, filesystem := range []string{"xfs", "btrfs"} {
		mounted := disk.Mount(t, filesystem, 512<<20)
		for _, length := range cuts {
			t.Run(fmt.Sprint(filesystem, " to ", length), func(t *testing.T) {
				top := filepath.Join(mounted, fmt.Sprint(length))
				must(t, os.MkdirAll(top+"/from", 0o700), os.Mkdir(top+"/to", 0o700))
				must(t, os.WriteFile(top+"/from/file", page(1), 0o600))
				from, to := open(t, top+"/from"), open(t, top+"/to")
				_, err := Copy(t.Context(), from, to, new(Watch), Options{Live: true})
				must(t, err)

				e := Entry{Parent: from, Name: "file"}
				e.Stat, err = from.Lstat(e.Name)
				must(t, err)
				file, err := e.Open()
				must(t, err)
				defer file.Close()
				must(t, os.Truncate(top+"/from/file", length))
				c := &copier{Options: Options{Live: true}, watch: new(Watch), top: to, share: true}
				if err := c.file(file.File, e, to, "file", true); !errors.Is(err, dir.ErrExchanged) {
					t.Errorf("the copy of a file that was cut short: %v", err)
				}
				must(t, c.current(e, to, "file", 0))
				if got, err := os.ReadFile(top + "/to/file"); err != nil || !bytes.Equal(got, page(1)[:length]) {
					t.Errorf("the copy has %d bytes, want %d: %v", len(got), length, err)
				}

				was, err := to.Lstat(e.Name)
				must(t, err)
				shared, err := Copy(t.Context(), from, to, new(Watch), Options{Live: true})
				must(t, err)
				if is, err := to.Lstat(e.Name); err != nil || is.Ino != was.Ino || !shared {
					t.Errorf("gone on with once more: shared %t, inode %d, was %d: %v", shared, is.Ino, was.Ino, err)
				}
			})
		}
	}
}

// TestCopyGrowing copies a file that grows faster than it is copied: what it was when the
// copy began.
func TestCopyGrowing(t *testing.T) {
	plugin.RequireRoot(t)
	mounted := disk.Mount(t, "ext4", 256<<20)
	from, to := filepath.Join(mounted, "from"), filepath.Join(mounted, "to")
	must(t, os.Mkdir(from, 0o700), os.Mkdir(to, 0o700))
	want := bytes.Repeat([]byte("x"), 3<<20+5)
	must(t, os.WriteFile(from+"/log", want, 0o600))
	log, err := os.OpenFile(from+"/log", os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	defer log.Close()
	steps := 0
	grow := func() error {
		if steps++; steps == 1 { // before the file was looked at
			return nil
		}
		_, err := log.Write(make([]byte, 2<<20))
		return err
	}
	_, err = Copy(t.Context(), open(t, from), open(t, to), &Watch{Step: grow}, Options{Live: true})
	must(t, err)
	if got, err := os.ReadFile(to + "/log"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the copy has %d bytes, want %d: %v", len(got), len(want), err)
	}
}

// steady is the name of a file that is exchanged and written to, and never removed.
func steady(dir string, i int) string { return fmt.Sprintf("%s/deep/steady-%d", dir, i) }

// page is 64 KiB of one letter.
func page(letter byte) []byte { return bytes.Repeat([]byte{letter}, 64<<10) }

// cuts are lengths at the end of a block and within one.
var cuts = []int64{0, 4096, 5000}

// churn does to a directory what pods do to theirs, until ctx ends.
func churn(ctx context.Context, t *testing.T, dir string, seed uint64, files int) {
	random := rand.New(rand.NewPCG(seed, 1))
	tolerate := func(err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.ENOTEMPTY) {
			t.Error(err)
		}
	}
	for i := 0; ctx.Err() == nil; i++ {
		own := fmt.Sprintf("%s/deep/own-%d-%d", dir, seed, random.IntN(20))
		switch random.IntN(10) {
		case 0: // exchanged, as editors and databases do
			aside := fmt.Sprintf("%s/aside-%d", dir, seed)
			tolerate(os.WriteFile(aside, page(byte(i)), 0o600))
			tolerate(os.Rename(aside, steady(dir, random.IntN(files))))
		case 1: // written to in one call
			f, err := os.OpenFile(steady(dir, random.IntN(files)), os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt(page(byte(i)), 0)
				f.Close()
			}
			tolerate(err)
		case 2:
			tolerate(os.WriteFile(own, bytes.Repeat([]byte{1}, random.IntN(200<<10)), 0o600))
		case 3:
			tolerate(os.Truncate(own, int64(random.IntN(1<<20))))
		case 4:
			tolerate(os.Remove(own))
		case 5:
			tolerate(os.Link(steady(dir, random.IntN(files)), fmt.Sprintf("%s/deep/er/link-%d-%d", dir, seed, random.IntN(5))))
			tolerate(os.Remove(fmt.Sprintf("%s/deep/er/link-%d-%d", dir, seed, random.IntN(5))))
		case 6:
			sub := fmt.Sprintf("%s/sub-%d", dir, seed)
			tolerate(os.MkdirAll(sub+"/a/b", 0o700))
			tolerate(os.WriteFile(sub+"/a/b/file", page(2), 0o600))
			tolerate(os.RemoveAll(sub))
		case 7: // emptied while it is read, as logs are
			for range 20 {
				tolerate(os.Truncate(own, 0))
				tolerate(os.Truncate(own, 1<<20))
			}
		case 8:
			aside := fmt.Sprintf("%s/aside-%d", dir, seed)
			tolerate(makeAny(aside, random.IntN(kinds)))
			tolerate(unix.Renameat2(unix.AT_FDCWD, aside, unix.AT_FDCWD, anyKind(dir, random.IntN(kinds)), unix.RENAME_EXCHANGE))
			tolerate(os.RemoveAll(aside))
		case 9: // cut short, and always to the same length, so that none is made longer
			file := random.IntN(files)
			tolerate(os.Truncate(steady(dir, file), cuts[file%len(cuts)]))
		}
	}
}

// kinds is how many makeAny knows.
const kinds = 6

// anyKind is the name of a file that is exchanged for one of any type.
func anyKind(dir string, i int) string { return fmt.Sprintf("%s/deep/kind-%d", dir, i) }

// makeAny makes a file of some type, with an extended attribute of its own.
func makeAny(path string, kind int) error {
	attribute := "trusted.of-any"
	var err error
	switch kind {
	case 0:
		attribute = "user.of-a-file" // which others cannot have
		err = os.WriteFile(path, page(3), 0o600)
	case 1:
		attribute = "user.of-a-directory"
		err = os.MkdirAll(path+"/with/more", 0o700)
	case 2:
		err = os.Symlink("/nowhere", path)
	case 3:
		err = unix.Mkfifo(path, 0o600)
	case 4:
		err = unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3)))
	case 5:
		err = unix.Mknod(path, unix.S_IFSOCK|0o600, 0)
	}
	if err != nil {
		return err
	}
	return unix.Lsetxattr(path, attribute, []byte("value"), 0)
}
