// Package socket serves on Unix sockets and keeps their files in place: it
// replaces one that a crash has left over, and makes one again that somebody
// removes.
package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"k8s.io/klog/v2"
)

// Server is what Serve needs of a *grpc.Server or *http.Server.
type Server interface {
	Serve(net.Listener) error
}

// watchInterval is how soon Serve notices that its socket's file is gone. One
// stat(2) a second costs next to nothing, and takes no inotify instance.
const watchInterval = time.Second

// Serve lets the server accept connections at path until the context ends, and
// then removes the socket. Only root can connect. It returns an error if another
// process serves there, or if the server fails.
func Serve(ctx context.Context, path string, server Server) error {
	for {
		listener, file, err := listen(path)
		if err != nil {
			return err
		}
		failed := make(chan error, 1)
		go func() { failed <- server.Serve(listener) }()
		err = watch(ctx, path, file, failed)
		if ctx.Err() != nil {
			if isFile(path, file) {
				os.Remove(path)
			}
			return nil
		}
		if !errors.Is(err, errGone) {
			return fmt.Errorf("serving on %s: %w", path, err)
		}
		klog.FromContext(ctx).Info("socket was removed, listening again", "path", path)
		listener.Close()
		<-failed
	}
}

var errGone = errors.New("socket is gone")

// watch returns when the context ends, when the server fails, or when the file
// at path is no longer the socket.
func watch(ctx context.Context, path string, file os.FileInfo, failed <-chan error) error {
	for tick := time.Tick(watchInterval); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return err
		case <-tick:
			if !isFile(path, file) {
				return errGone
			}
		}
	}
}

// listen makes the socket. It replaces one on which nobody listens.
func listen(path string) (*net.UnixListener, os.FileInfo, error) {
	if err := CheckPath(path); err != nil {
		return nil, nil, err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, nil, err
	case info.Mode()&fs.ModeSocket == 0:
		return nil, nil, fmt.Errorf("%s exists and is not a socket: remove it, or choose another path", path)
	default:
		if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
			conn.Close()
			return nil, nil, fmt.Errorf("another process serves on %s", path)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	// Close would remove whatever is at the path by then.
	listener.SetUnlinkOnClose(false)
	err = os.Chmod(path, 0o600)
	var file os.FileInfo
	if err == nil {
		file, err = os.Lstat(path)
	}
	if err != nil {
		listener.Close()
		return nil, nil, err
	}
	return listener, file, nil
}

func isFile(path string, file os.FileInfo) bool {
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(now, file)
}
