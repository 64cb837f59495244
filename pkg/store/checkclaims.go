package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
)

// claims looks at the links for people: each claim of a volume has one, to its
// newest volume, and there are no others.
func (c *checker) claims(ctx context.Context, d *diskState) (ok bool) {
	return c.withDisk(d, func(o openDisk) {
		claims, err := o.root.Sub(disk.ClaimsDir)
		if errors.Is(err, fs.ErrNotExist) {
			return // layout has said so
		}
		if err != nil {
			c.found(cannotRead(o.path+"/"+disk.ClaimsDir, err))
			return
		}
		defer claims.Close()
		links := c.linksIn(o, claims)
		newest := o.newest()
		for claim := range newest {
			if _, ok := links[claim]; !ok {
				links[claim] = ""
			}
		}
		for claim, shown := range links {
			if shown != newest[claim] && ctx.Err() == nil {
				c.wrongLink(ctx, o, claim, shown, newest[claim])
			}
		}
	})
}

// newest is the newest volume of each claim, by name.
func (d *diskState) newest() map[Claim]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	newest := newestOf(d.volumes.byName)
	delete(newest, Claim{})
	return newest
}

// linksIn returns the volume that each link shows, and reports what is no link.
func (c *checker) linksIn(o openDisk, claims *dir.Dir) map[Claim]string {
	links := map[Claim]string{}
	path := o.path + "/" + disk.ClaimsDir
	namespaces, err := claims.Names()
	if err != nil {
		c.found(cannotRead(path, err))
		return links
	}
	slices.Sort(namespaces)
	for _, namespace := range namespaces {
		sub, err := claims.Sub(namespace)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // its last claim went
		case isOutOfReach(err):
			c.found(cannotRead(path+"/"+namespace, err))
			continue
		case err != nil || !isClaimName(namespace):
			c.found(foreignFile(path + "/" + namespace))
		default:
			c.linksOf(o, sub, namespace, links)
		}
		if err == nil {
			sub.Close()
		}
	}
	return links
}

func (c *checker) linksOf(o openDisk, sub *dir.Dir, namespace string, links map[Claim]string) {
	path := o.path + "/" + disk.ClaimsDir + "/" + namespace
	c.own(sub, ".", path, 0o700)
	names, err := sub.Names()
	if err != nil {
		c.found(cannotRead(path, err))
		return
	}
	slices.Sort(names)
	for _, name := range names {
		if shown := linkOf(sub, name); shown != "" && name != linkNew {
			links[Claim{namespace, name}] = shown
		} else {
			c.noLink(o, sub, name, path+"/"+name)
		}
	}
}

// noLink looks again while nobody makes links or removes them.
func (c *checker) noLink(o openDisk, sub *dir.Dir, name, path string) {
	o.links.Lock()
	defer o.links.Unlock()
	switch _, err := sub.Lstat(name); {
	case err != nil: // it was in the making, or is gone
	case name == linkNew:
		c.found(leftover(sub, name, path))
	case linkOf(sub, name) == "":
		c.found(foreignFile(path))
	}
}

// wrongLink reports a link unless it changes once the calls on both volumes are
// over: then somebody has just seen to it.
func (c *checker) wrongLink(ctx context.Context, o openDisk, claim Claim, shown, want string) {
	if v := o.volume(shown); want == "" && v != nil && v.Quarantine != nil {
		return // whose it is cannot be known
	}
	f := Finding{
		Kind: WrongLink, Path: o.path + "/" + disk.ClaimsDir + "/" + claim.String(), Claim: claim,
		Remedy: "only people use these links; `hostdir check --repair` and the next start of hostdir's pod put it right",
	}
	switch {
	case shown == "":
		f.Problem = "the claim's link to its volume " + want + " is missing"
	case want == "":
		f.Problem = fmt.Sprintf("the link shows volume %s, which is gone, or not this claim's", shown)
	default:
		f.Problem = fmt.Sprintf("the link shows volume %s, the claim's newest is %s", shown, want)
	}
	f.fix = func() error {
		if want == "" {
			return o.unlinkClaim(claim, shown)
		}
		return o.link(claim, want)
	}
	names := slices.DeleteFunc([]string{shown, want}, func(name string) bool { return name == "" })
	c.twice(ctx, f, names, func(found func(Finding)) {
		o.links.Lock()
		defer o.links.Unlock()
		// The newest may be another by now, perhaps the one that is shown.
		if o.linkFor(claim) == shown && o.newestOf(claim) == want {
			found(f)
		}
	})
}
