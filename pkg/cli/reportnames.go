package cli

import "regexp"

var (
	// inVolume is a path below the data of a volume, a snapshot or a deleted one, to the
	// end of the string or line that it is in: a file's name may hold anything.
	inVolume = regexp.MustCompile(`((?:volumes|snapshots|trash)/[^/\s"]+/data/)(?:[^"\\\n]|\\.)*`)
	// systemError is what the system may say of a file.
	systemError = regexp.MustCompile(`: (?:operation not permitted|permission denied|input/output error|read-only file system|no such file or directory|` +
		`device or resource busy|directory not empty|structure needs cleaning|no space left on device|disk quota exceeded|stale file handle|file name too long)`)
)

// withoutFileNames cuts out what tenants call their files, and keeps what the system
// says of them.
func withoutFileNames(text []byte) []byte {
	return inVolume.ReplaceAllFunc(text, func(found []byte) []byte {
		kept := append([]byte{}, inVolume.FindSubmatch(found)[1]...)
		return append(append(kept, "(cut out)"...), systemError.Find(found)...)
	})
}
