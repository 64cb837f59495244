package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// claims looks at the links for people: each claim of a volume has one, to its
// newest volume, and there are no others.
func (c *checker) claims(ctx context.Context, b *base) (ok bool) {
	return c.withBase(b, func(b *base, pool *dir) {
		claims, err := pool.sub(claimsDir)
		if errors.Is(err, fs.ErrNotExist) {
			return // layout has said so
		}
		if err != nil {
			c.found(cannotRead(b.path+"/"+claimsDir, err))
			return
		}
		defer claims.close()
		links := c.linksIn(b, claims)
		newest := b.newest()
		for claim := range newest {
			if _, ok := links[claim]; !ok {
				links[claim] = ""
			}
		}
		for claim, shown := range links {
			if shown != newest[claim] && ctx.Err() == nil {
				c.wrongLink(ctx, b, pool, claim, shown, newest[claim])
			}
		}
	})
}

// newest is the newest volume of each claim, by name.
func (b *base) newest() map[Claim]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	newest := newestOf(b.volumes)
	delete(newest, Claim{})
	return newest
}

// linksIn returns the volume that each link shows, and reports what is no link.
func (c *checker) linksIn(b *base, claims *dir) map[Claim]string {
	links := map[Claim]string{}
	path := b.path + "/" + claimsDir
	namespaces, err := claims.names()
	if err != nil {
		c.found(cannotRead(path, err))
		return links
	}
	slices.Sort(namespaces)
	for _, namespace := range namespaces {
		sub, err := claims.sub(namespace)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // its last claim went
		case outOfReach(err):
			c.found(cannotRead(path+"/"+namespace, err))
			continue
		case err != nil || !claimPattern.MatchString(namespace):
			c.found(foreign(path + "/" + namespace))
		default:
			c.linksOf(b, sub, namespace, links)
		}
		if err == nil {
			sub.close()
		}
	}
	return links
}

func (c *checker) linksOf(b *base, sub *dir, namespace string, links map[Claim]string) {
	path := b.path + "/" + claimsDir + "/" + namespace
	c.own(sub, ".", path, 0o700)
	names, err := sub.names()
	if err != nil {
		c.found(cannotRead(path, err))
		return
	}
	slices.Sort(names)
	for _, name := range names {
		if shown := sub.linkOf(name); shown != "" && name != linkNew {
			links[Claim{namespace, name}] = shown
		} else {
			c.noLink(b, sub, name, path+"/"+name)
		}
	}
}

// noLink looks again while nobody makes links or removes them.
func (c *checker) noLink(b *base, sub *dir, name, path string) {
	b.links.Lock()
	defer b.links.Unlock()
	switch _, err := sub.lstat(name); {
	case err != nil: // it was in the making, or is gone
	case name == linkNew:
		c.found(leftover(sub, name, path))
	case sub.linkOf(name) == "":
		c.found(foreign(path))
	}
}

// wrongLink reports a link unless it changes once the calls on both volumes are
// over: then somebody has just seen to it.
func (c *checker) wrongLink(ctx context.Context, b *base, pool *dir, claim Claim, shown, want string) {
	if v := b.volume(shown); want == "" && v != nil && v.Quarantine != nil {
		return // whose it is cannot be known
	}
	f := Finding{
		Kind: WrongLink, Path: b.path + "/" + claimsDir + "/" + claim.String(), Claim: claim,
		Do: "nothing but people goes by it; `hostdir check --repair` and the next start of hostdir's pod put it right",
	}
	switch {
	case shown == "":
		f.What = "the claim's link to its volume " + want + " is missing"
	case want == "":
		f.What = fmt.Sprintf("the link shows volume %s, which is gone, or not this claim's", shown)
	default:
		f.What = fmt.Sprintf("the link shows volume %s, the claim's newest is %s", shown, want)
	}
	f.mend = func() error {
		if want == "" {
			return pool.unlinkClaim(claim, shown)
		}
		return pool.link(claim, want)
	}
	names := slices.DeleteFunc([]string{shown, want}, func(name string) bool { return name == "" })
	c.look(ctx, f, names, func(found func(Finding)) {
		b.links.Lock()
		defer b.links.Unlock()
		// The newest may be another by now, be it the one that is shown.
		if pool.linkFor(claim) == shown && b.newestOf(claim) == want {
			found(f)
		}
	})
}
