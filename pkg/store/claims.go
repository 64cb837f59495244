package store

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// claims/<namespace>/<claim> is a symbolic link to a volume's data, so that a
// person finds it. hostdir reads these links but never follows them, and a
// link that could not be made harms nobody: the scan at start makes it again.

const linkNew = ".new"

// linkTarget is what the link of a volume holds: ../../volumes/<name>/data.
func linkTarget(name string) string {
	return path.Join("../..", volumesDir, name, dataDir)
}

// linkedVolume is the reverse of linkTarget, "" for a link that is not ours.
func linkedVolume(target string) string {
	name := strings.TrimSuffix(strings.TrimPrefix(target, "../../"+volumesDir+"/"), "/"+dataDir)
	if linkTarget(name) != target || !directoryPattern.MatchString(name) {
		return ""
	}
	return name
}

// link points the claim to the volume. A claim that was deleted and made again,
// while its retained volume stays, is shown its new volume.
func (d *dir) link(c Claim, name string) error {
	if c == (Claim{}) {
		return nil
	}
	claims, err := d.makeSub(claimsDir)
	if err != nil {
		return err
	}
	defer claims.close()
	namespace, err := claims.makeSub(c.Namespace)
	if err != nil {
		return err
	}
	defer namespace.close()
	if err := namespace.unlink(linkNew); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := unix.Symlinkat(linkTarget(name), namespace.fd(), linkNew); err != nil {
		return namespace.wrap("symlinkat", linkNew, err)
	}
	return namespace.wrap("renameat", c.Name, unix.Renameat(namespace.fd(), linkNew, namespace.fd(), c.Name))
}

// unlinkClaim removes the claim's link if it points to the volume, and the
// namespace's directory once it is empty.
func (d *dir) unlinkClaim(c Claim, name string) error {
	if c == (Claim{}) {
		return nil
	}
	claims, err := d.sub(claimsDir)
	if err != nil {
		return err
	}
	defer claims.close()
	namespace, err := claims.sub(c.Namespace)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer namespace.close()
	if namespace.linkOf(c.Name) != name {
		return nil
	}
	if err := namespace.unlink(c.Name); err != nil {
		return err
	}
	if err := claims.rmdir(c.Namespace); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	return nil
}

// linkOlder is for a volume of the claim that is gone: its link goes too, or
// shows the newest of those that are left, as the next start would have it.
func (b *base) linkOlder(pool *dir, c Claim, gone string) error {
	if pool.linkFor(c) == gone && b.newestOf(c) != "" {
		return b.linkNewest(pool, c)
	}
	return pool.unlinkClaim(c, gone)
}

// linkNewest points a claim to its newest volume.
func (b *base) linkNewest(pool *dir, c Claim) error { return pool.link(c, b.newestOf(c)) }

// newestOf is the name of a claim's newest volume, "" if it has none.
func (b *base) newestOf(c Claim) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[string]*Volume{}
	for name, v := range b.volumes {
		if v.Claim == c {
			all[name] = v
		}
	}
	return newestOf(all)[c]
}

// linkFor returns the volume that a claim's link shows, "" if it has none.
func (d *dir) linkFor(c Claim) string {
	namespace, err := d.sub(claimsDir + "/" + c.Namespace)
	if err != nil {
		return ""
	}
	defer namespace.close()
	return namespace.linkOf(c.Name)
}

// linkOf returns the volume that a link in a namespace's directory shows.
func (d *dir) linkOf(claim string) string {
	var buf [256]byte // longer than any of ours
	n, err := unix.Readlinkat(d.fd(), claim, buf[:])
	if err != nil {
		return ""
	}
	return linkedVolume(string(buf[:n]))
}

// mendLinks makes claims/ agree with the records after a crash between a
// commit and its link: each claim's link shows its newest volume, and links to
// volumes that are gone, or are another claim's by now, go too, and namespaces
// without a link.
func (d *dir) mendLinks(volumes map[string]*Volume) error {
	links, empty, err := d.readLinks()
	if err != nil {
		return err
	}
	for _, namespace := range empty {
		if err := d.rmdir(claimsDir + "/" + namespace); err != nil {
			return err
		}
	}
	for claim, name := range links {
		v := volumes[name]
		// Of a volume in quarantine nobody knows whose it is.
		if v == nil || v.Quarantine == nil && v.Claim != claim {
			if err := d.unlinkClaim(claim, name); err != nil {
				return err
			}
		}
	}
	for claim, name := range newestOf(volumes) {
		if links[claim] != name {
			if err := d.link(claim, name); err != nil {
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
// namespaces whose directory is empty.
func (d *dir) readLinks() (links map[Claim]string, empty []string, err error) {
	links = map[Claim]string{}
	claims, err := d.sub(claimsDir)
	if err != nil {
		return nil, nil, err
	}
	defer claims.close()
	namespaces, err := claims.names()
	if err != nil {
		return nil, nil, err
	}
	for _, namespace := range namespaces {
		sub, err := claims.sub(namespace)
		if err != nil {
			continue // not a directory: not ours
		}
		names, err := sub.names()
		if err != nil {
			sub.close()
			return nil, nil, err
		}
		if len(names) == 0 {
			empty = append(empty, namespace)
		}
		for _, claim := range names {
			if name := sub.linkOf(claim); name != "" && claim != linkNew {
				links[Claim{namespace, claim}] = name
			}
		}
		sub.close()
	}
	return links, empty, nil
}
