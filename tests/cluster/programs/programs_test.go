package programs

import "testing"

func TestPublishedSiblings(t *testing.T) {
	const mod = `module example.com/server

replace example.com/alone => ./alone

replace (
	example.com/api => ../api
	example.com/client/v3 v3.0.0 => ./client
	example.com/fork => example.org/fork v1.2.3
)
`
	const want = `module example.com/server

replace example.com/alone => example.com/alone v9.9.9

replace (
	example.com/api => example.com/api v9.9.9
	example.com/client/v3 v3.0.0 => example.com/client/v3 v9.9.9
	example.com/fork => example.org/fork v1.2.3
)
`
	if got := string(publishedSiblings([]byte(mod), "v9.9.9")); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestEveryBinaryHasOnePlace(t *testing.T) {
	cache := Cache{dir: "/cache", goVersion: "go1"}
	seen := map[string]string{}
	for _, p := range all {
		for _, binary := range p.binaries() {
			if other, ok := seen[binary]; ok {
				t.Errorf("%s is built by %s and by %s", binary, other, p.name)
			}
			seen[binary] = p.name
			if cache.Path(binary) == "" {
				t.Errorf("%s has no path", binary)
			}
		}
	}
}

func TestChangedSourceIsBuiltAnew(t *testing.T) {
	cache := Cache{dir: "/cache", goVersion: "go1"}
	folder := func(source string) string {
		return cache.folder(Command{Name: "tests", Source: []byte(source)}.program())
	}
	if folder("package main") == folder("package main // changed") {
		t.Error("a program whose source has changed is not built again")
	}
}
