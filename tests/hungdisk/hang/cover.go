package hang

import "testing"

// Cover makes directories hang by laying mounts over them that nobody serves.
type Cover struct {
	paths  []string
	mounts []*mount
}

// NewCover prepares covers for these directories. They are taken away when the
// test ends.
func NewCover(t testing.TB, paths ...string) *Cover {
	c := &Cover{paths: paths}
	t.Cleanup(func() { c.Answer(t) })
	return c
}

// Hang lays the covers.
func (c *Cover) Hang(t testing.TB) {
	t.Helper()
	for _, path := range c.paths {
		c.mounts = append(c.mounts, startMount(t, served{Mount: path}))
	}
}

// Answer takes the covers away. Calls that waited fail.
func (c *Cover) Answer(t testing.TB) {
	t.Helper()
	for _, m := range c.mounts {
		m.end(t)
	}
	c.mounts = nil
}
