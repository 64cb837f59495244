package store

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"golang.org/x/sys/unix"
)

// claims/<namespace>/<claim> is a symbolic link to a volume's data, so that a
// person finds it. hostdir reads these links but never follows them, and a
// link that could not be made harms nobody: the scan at start makes it again.

const linkNew = ".new"

// linkTarget is what the link of a volume holds: ../../volumes/<name>/data.
func linkTarget(name string) string {
	return path.Join("../..", disk.VolumesDir, name, dataDir)
}

// linkedVolume is the reverse of linkTarget, "" for a link that is not ours.
func linkedVolume(target string) string {
	name := strings.TrimSuffix(strings.TrimPrefix(target, "../../"+disk.VolumesDir+"/"), "/"+dataDir)
	if linkTarget(name) != target || !isDirectoryName(name) {
		return ""
	}
	return name
}

// link points the claim to the volume. A claim that was deleted and made again,
// while its retained volume stays, is shown its new volume.
func (o openDisk) link(c Claim, name string) error {
	if c == (Claim{}) {
		return nil
	}
	claims, err := o.root.MakeSub(disk.ClaimsDir)
	if err != nil {
		return err
	}
	defer claims.Close()
	namespace, err := claims.MakeSub(c.Namespace)
	if err != nil {
		return err
	}
	defer namespace.Close()
	if err := namespace.Unlink(linkNew); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := unix.Symlinkat(linkTarget(name), namespace.FD(), linkNew); err != nil {
		return namespace.Wrap("symlinkat", linkNew, err)
	}
	return namespace.Wrap("renameat", c.Name, unix.Renameat(namespace.FD(), linkNew, namespace.FD(), c.Name))
}

// unlinkClaim removes the claim's link if it points to the volume, and the
// namespace's directory once it is empty.
func (o openDisk) unlinkClaim(c Claim, name string) error {
	if c == (Claim{}) {
		return nil
	}
	claims, err := o.root.Sub(disk.ClaimsDir)
	if err != nil {
		return err
	}
	defer claims.Close()
	namespace, err := claims.Sub(c.Namespace)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer namespace.Close()
	if linkOf(namespace, c.Name) != name {
		return nil
	}
	if err := namespace.Unlink(c.Name); err != nil {
		return err
	}
	if err := claims.Rmdir(c.Namespace); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	return nil
}

// linkOlder is for a volume of the claim that is gone: its link goes too, or
// shows the newest of those that are left, as the next start would have it.
func (o openDisk) linkOlder(c Claim, gone string) error {
	if o.linkFor(c) == gone && o.newestOf(c) != "" {
		return o.linkNewest(c)
	}
	return o.unlinkClaim(c, gone)
}

// linkNewest points a claim to its newest volume.
func (o openDisk) linkNewest(c Claim) error { return o.link(c, o.newestOf(c)) }

// newestOf is the name of a claim's newest volume, "" if it has none.
func (d *diskState) newestOf(c Claim) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[string]*Volume{}
	for name, v := range d.volumes.byName {
		if v.Claim == c {
			all[name] = v
		}
	}
	return newestOf(all)[c]
}

// linkFor returns the volume that a claim's link shows, "" if it has none.
func (o openDisk) linkFor(c Claim) string {
	namespace, err := o.root.Sub(disk.ClaimsDir + "/" + c.Namespace)
	if err != nil {
		return ""
	}
	defer namespace.Close()
	return linkOf(namespace, c.Name)
}

// linkOf returns the volume that a link in a namespace's directory shows.
func linkOf(d *dir.Dir, claim string) string {
	var buf [256]byte // longer than any of ours
	n, err := unix.Readlinkat(d.FD(), claim, buf[:])
	if err != nil {
		return ""
	}
	return linkedVolume(string(buf[:n]))
}

// mendLinks makes claims/ agree with the records after a crash between a
// commit and its link: each claim's link shows its newest volume, and links to
// volumes that are gone, or are another claim's by now, go too, and so do links that
// did not get their name, and namespaces without a link.
func (o openDisk) mendLinks() error {
	volumes := o.volumes.byName // nobody else has them yet
	links, empty, err := o.readLinks()
	if err != nil {
		return err
	}
	for _, namespace := range empty {
		if err := o.root.Rmdir(disk.ClaimsDir + "/" + namespace); err != nil {
			return err
		}
	}
	for claim, name := range links {
		v := volumes[name]
		// Of a volume in quarantine nobody knows whose it is.
		if v == nil || v.Quarantine == nil && v.Claim != claim {
			if err := o.unlinkClaim(claim, name); err != nil {
				return err
			}
		}
	}
	for claim, name := range newestOf(volumes) {
		if links[claim] != name {
			if err := o.link(claim, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// newestOf is the volume of each claim that was made last, by name.
func newestOf(volumes map[string]*Volume) map[Claim]string {
	newest := map[Claim]string{}
	for name, v := range volumes {
		other, ok := newest[v.Claim]
		if !ok || cmp.Or(v.Created.Compare(volumes[other].Created), strings.Compare(name, other)) > 0 {
			newest[v.Claim] = name
		}
	}
	return newest
}

// readLinks returns the volume's name behind each link of ours, and the
// namespaces whose directory is empty. Links without their name it removes.
func (o openDisk) readLinks() (links map[Claim]string, empty []string, err error) {
	links = map[Claim]string{}
	claims, err := o.root.Sub(disk.ClaimsDir)
	if err != nil {
		return nil, nil, err
	}
	defer claims.Close()
	namespaces, err := claims.Names()
	if err != nil {
		return nil, nil, err
	}
	for _, namespace := range namespaces {
		sub, err := claims.Sub(namespace)
		if err != nil {
			continue // not a directory: not ours
		}
		names, err := sub.Names()
		if err != nil {
			sub.Close()
			return nil, nil, err
		}
		if i := slices.Index(names, linkNew); i >= 0 && linkOf(sub, linkNew) != "" {
			if err := sub.Unlink(linkNew); err != nil {
				sub.Close()
				return nil, nil, err
			}
			names = slices.Delete(names, i, i+1)
		}
		if len(names) == 0 {
			empty = append(empty, namespace)
		}
		for _, claim := range names {
			if name := linkOf(sub, claim); name != "" {
				links[Claim{namespace, claim}] = name
			}
		}
		sub.Close()
	}
	return links, empty, nil
}
