package socket

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Path returns the path of an endpoint unix:///path/to/socket.
func Path(endpoint string) (string, error) {
	path, ok := strings.CutPrefix(endpoint, "unix://")
	if !ok || !filepath.IsAbs(path) {
		return "", fmt.Errorf("endpoint %q is not of the form unix:///path/to/csi.sock", endpoint)
	}
	return filepath.Clean(path), nil
}

// MaxPath is the longest path of a socket, in bytes: see unix(7).
const MaxPath = 107

// CheckPath returns an error for a path that is too long to be a socket's.
func CheckPath(path string) error {
	if len(path) > MaxPath {
		return fmt.Errorf("the socket's path %s is longer than %d bytes, which the kernel does not take: choose a shorter one", path, MaxPath)
	}
	return nil
}

// Target returns what gRPC dials to reach a socket: its targets are URLs, in which
// a % in a path would mean something else
// (https://github.com/grpc/grpc/blob/master/doc/naming.md).
func Target(path string) string { return (&url.URL{Scheme: "unix", Path: path}).String() }

// MakeDir makes the directory of a socket, for root alone.
func MakeDir(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}
