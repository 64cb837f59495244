package images

import (
	"fmt"
	"slices"

	"github.com/hostdir/hostdir/deploy/oci"
	"github.com/hostdir/hostdir/tests/cluster/programs"
)

// OfTests returns the archives of stand-ins for images that Kubernetes' own tests of storage run: busybox by each of
// these names, to which agnhost, the built program, is added where an image is called so.
func OfTests(cache programs.Cache, agnhost string, names []string) ([]string, error) {
	files, err := busyboxFiles()
	if err != nil {
		return nil, err
	}
	files = append(slices.DeleteFunc(files, func(f oci.File) bool { return f.Path == "bin/sync" }),
		oci.File{Path: "bin/sync", Text: syncVolumes, Mode: 0o755})
	var archives []string
	for _, name := range names {
		i := image{Name: name, Files: files, Cmd: []string{"sh"}, Env: []string{"PATH=" + searchPath}}
		if ShortName(name) == "agnhost" {
			i.Files = append(slices.Clone(files), oci.File{Path: "agnhost", Source: agnhost, Mode: 0o755})
			i.Entrypoint, i.Cmd = []string{"/agnhost"}, []string{"pause"}
		}
		archive, err := i.cached(cache.Folder("images"))
		if err != nil {
			return nil, fmt.Errorf("make image %s: %w", name, err)
		}
		archives = append(archives, archive)
	}
	return archives, nil
}

// syncVolumes is the pods' sync. That of busybox would wait for each disk of this machine, whatever else is being
// done to it; this one takes the files where the tests mount their volumes.
const syncVolumes = `#!/bin/sh
[ $# = 0 ] || exec busybox sync "$@"
find /mnt /opt -type f -exec busybox sync {} + 2>/dev/null
`
