package socket

import (
	"fmt"
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

// MakeDir makes the directory of a socket, for root alone.
func MakeDir(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}
