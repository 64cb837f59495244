package hostile

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mischief is what a tenant does to its volume.
type mischief struct {
	name string
	// step is done again and again, from two threads, with the number of the
	// step. Most fail: what they meant was moved, or purged.
	step func(v *tenant, i int)
	// privileged mischief is done outside of data, where only root can.
	privileged bool
	// shares says that the volume comes to hold files that are elsewhere, too: whoever
	// copies it reads them, rightly.
	shares bool
	// uncopyable says that a copy may be refused: what is in the volume is mounted, deeper
	// than anybody copies, or was a link in that moment.
	uncopyable bool
}

// written is what a tenant writes.
const written = "the tenant's own"

// fanOut is how many directories, and links, each volume begins with.
const fanOut = 24

// mischiefs are what every operation has to bear.
var mischiefs = []mischief{
	{name: "exchange directories for links", step: func(v *tenant, i int) {
		// A few names, each exchanged very often: hostdir is to meet one that was a
		// directory a moment before. The purge always finds one more.
		few := func(name string) string { return fmt.Sprintf("%s-%d", name, rand.IntN(3)) }
		for range 10 {
			exchange(v.data, few("directory"), few("link"))
		}
		exchange(v.data, anyOf("directory")+"/sub", anyOf("link"))
		exchange(v.data, anyOf("directory")+"/sub/sub", anyOf("directory")+"/file")
		mkdir(v.data, few("directory"), 0o755)
		symlink(v.precious(i), v.data, few("link"))
	}},
	{name: "exchange the data directory for a link", privileged: true, uncopyable: true, step: func(v *tenant, i int) {
		symlink(v.precious(i), v.volume, "link")
		exchange(v.volume, "data", "link")
		exchange(v.volume, "data", "link")
		unix.Unlinkat(int(v.volume.Fd()), "link", 0)
	}},
	{name: "move trees up and down", step: func(v *tenant, i int) {
		move(v.data, anyOf("directory"), v.data, anyOf("directory")+"/moved")
		move(v.data, anyOf("directory")+"/moved", v.data, anyOf("directory"))
		move(v.data, anyOf("directory")+"/sub", v.data, anyOf("directory")+"/moved/deeper")
		move(v.data, anyOf("directory")+"/moved", v.data, anyOf("directory")+"/sub")
	}},
	{name: "move trees into another volume and back", step: func(v *tenant, i int) {
		name := anyOf("directory")
		move(v.data, name, v.own, name)
		move(v.data, anyOf("directory")+"/sub", v.own, "sub")
		move(v.own, anyOf("directory"), v.data, anyOf("directory"))
		move(v.own, "sub", v.data, anyOf("directory")+"/sub")
	}},
	{name: "link files", shares: true, step: func(v *tenant, i int) {
		name := fmt.Sprintf("hard-%d", i%50)
		link(filepath.Join(v.outside, "file"), v.data, name)
		link(filepath.Join(v.outside, "directory", "setuid"), v.data, anyOf("directory")+"/"+name)
		link(v.data.Name()+"/"+anyOf("link"), v.data, anyOf("directory")+"/linked-"+name)
		link(v.data.Name()+"/"+anyOf("directory")+"/file", v.data, anyOf("directory")+"/"+name)
		link(v.own.Name()+"/kept/file", v.data, anyOf("directory")+"/own-"+name)
		unix.Unlinkat(int(v.data.Fd()), name, 0)
	}},
	{name: "truncate, remove and link its own files", step: func(v *tenant, i int) {
		file, other := anyOf("directory")+"/file", anyOf("directory")+"/file"
		in(v.data, file, func(parent int, name string) {
			f, err := unix.Openat(parent, name, unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
			if err != nil {
				return
			}
			defer unix.Close(f)
			if i%4 > 0 {
				unix.Write(f, []byte(written))
			}
		})
		in(v.data, other, func(parent int, name string) { unix.Unlinkat(parent, name, 0) })
		link(at(v.data, file), v.data, other)
	}},
	{name: "exchange files for anything", step: func(v *tenant, i int) {
		aside := fmt.Sprintf("aside-%d", rand.IntN(10))
		switch i % 5 {
		case 0:
			node(v.data, aside, unix.S_IFIFO|0o666, 0)
		case 1:
			node(v.data, aside, unix.S_IFCHR|0o666, unix.Mkdev(1, 3))
		case 2:
			node(v.data, aside, unix.S_IFSOCK|0o666, 0)
		case 3:
			symlink(v.precious(i), v.data, aside)
		case 4:
			mkdir(v.data, aside, 0o755)
		}
		exchange(v.data, aside, fmt.Sprintf("directory-%d/file", rand.IntN(3)))
	}},
	{name: "mount things", uncopyable: true, step: func(v *tenant, i int) {
		path := at(v.data, anyOf("directory"))
		if i%4 == 0 {
			unix.Mount("tmpfs", path, "tmpfs", 0, "size=64k")
		} else {
			unix.Mount([]string{v.outside, v.elsewhere}[i%2], path, "", unix.MS_BIND, "")
		}
		unix.Mount(v.outside+"/file", at(v.data, anyOf("directory")+"/file"), "", unix.MS_BIND, "")
		unix.Unmount(path, unix.UMOUNT_NOFOLLOW)
		unix.Unmount(at(v.data, anyOf("directory")+"/file"), unix.UMOUNT_NOFOLLOW)
	}},
	{name: "make everything a filesystem can hold", step: func(v *tenant, i int) {
		// So few that the volume and six copies of it fit into half of the disk.
		const names = 15
		below := func(name string) string { return fmt.Sprintf("%s/%s-%d", anyOf("directory"), name, i%names) }
		node(v.data, below("fifo"), unix.S_IFIFO|0o666, 0)
		node(v.data, below("null"), unix.S_IFCHR|0o666, unix.Mkdev(1, 3))
		node(v.data, below("disk"), unix.S_IFBLK|0o666, unix.Mkdev(7, 0))
		node(v.data, below("setuid"), unix.S_IFREG|0o6755, 0)
		node(v.data, below("socket"), unix.S_IFSOCK|0o666, 0)
		mkdir(v.data, below("no-permissions"), 0)
		mkdir(v.data, below("\xff\xfe not\nUTF-8 \x1b[2J"), 0o777)
		mkdir(v.data, fmt.Sprintf("%s/%0255d", anyOf("directory"), i%names), 0o777)
		symlink(v.precious(i), v.data, below("precious"))
		symlink(strings.Repeat("../", 40)+"etc", v.data, below("upwards"))
	}},
	{name: "dig deeper", uncopyable: true, step: func(v *tenant, i int) {
		// Each step goes down one of a few shafts, and digs on at its end.
		const deepest, atOnce = 3000, 100
		at, err := unix.Openat(int(v.data.Fd()), fmt.Sprintf("directory-%d", i%4), unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		for level, dug := 0, 0; err == nil && level < deepest && dug < atOnce; level++ {
			if unix.Mkdirat(at, "level", 0o755) == nil {
				dug++
				unix.Symlinkat(v.precious(level), at, "link")
			}
			var next int
			next, err = unix.Openat(at, "level", unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
			unix.Close(at)
			at = next
		}
		if err == nil {
			unix.Close(at)
		}
	}},
}

// fill puts into a volume what mischief plays with.
func (v *tenant) fill() error {
	for i := range fanOut {
		directory := fmt.Sprintf("directory-%d", i)
		if err := os.MkdirAll(at(v.data, directory+"/sub/sub/sub"), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at(v.data, directory+"/file"), []byte(written), 0o644); err != nil {
			return err
		}
		if err := os.Symlink(v.precious(i), at(v.data, fmt.Sprintf("link-%d", i))); err != nil {
			return err
		}
	}
	return nil
}

// putBack puts the data directory back if it was left exchanged for the link.
func (v *tenant) putBack() {
	var s unix.Stat_t
	if unix.Fstatat(int(v.volume.Fd()), "link", &s, unix.AT_SYMLINK_NOFOLLOW) == nil && s.Mode&unix.S_IFMT == unix.S_IFDIR {
		exchange(v.volume, "data", "link")
	}
}

// precious are paths that links lead to: what must not be touched.
func (w *world) precious(i int) string {
	all := []string{w.outside, w.elsewhere, w.outside + "/directory", w.target("other"), w.data(w.own) + "/kept", w.elsewhere + "/directory", "../../../../outside", ".."}
	return all[i%len(all)]
}

func anyOf(name string) string { return fmt.Sprintf("%s-%d", name, rand.IntN(fanOut)) }

// in calls do with the directory that an entry is in, and its name there. No
// links are followed: in a pod, they would lead to the pod's own files.
func in(dir *os.File, path string, do func(parent int, name string)) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	parent, err := unix.Openat2(int(dir.Fd()), filepath.Dir(path), &how)
	if err != nil {
		return
	}
	defer unix.Close(parent)
	do(parent, filepath.Base(path))
}

func rename(from *os.File, path string, to *os.File, newPath string, flags uint) {
	in(from, path, func(parent int, name string) {
		in(to, newPath, func(newParent int, newName string) {
			unix.Renameat2(parent, name, newParent, newName, flags)
		})
	})
}

func exchange(dir *os.File, a, b string) { rename(dir, a, dir, b, unix.RENAME_EXCHANGE) }

func move(from *os.File, path string, to *os.File, newPath string) {
	rename(from, path, to, newPath, unix.RENAME_NOREPLACE)
}

func link(file string, dir *os.File, path string) {
	in(dir, path, func(parent int, name string) { unix.Linkat(unix.AT_FDCWD, file, parent, name, 0) })
}

func symlink(to string, dir *os.File, path string) {
	in(dir, path, func(parent int, name string) { unix.Symlinkat(to, parent, name) })
}

func node(dir *os.File, path string, mode uint32, device uint64) {
	in(dir, path, func(parent int, name string) { unix.Mknodat(parent, name, mode, int(device)) })
}

func mkdir(dir *os.File, path string, mode uint32) {
	in(dir, path, func(parent int, name string) { unix.Mkdirat(parent, name, mode) })
}
