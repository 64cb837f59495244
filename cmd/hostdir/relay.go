package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"

	"github.com/hostdir/hostdir/pkg/program"
)

// relay joins standard input and output with the operators' socket. It is how the
// plugin of kubectl reaches this node: by exec into the container, which needs no
// port and no credentials but those of the person.
func relay() *program.Command {
	command, _ := newCommand("relay", "join standard input and output with the operators' socket, for kubectl hostdir", nil,
		func(ctx context.Context, c *call) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.plugin.Socket)
			if err != nil {
				return err
			}
			defer conn.Close()
			return join(ctx, conn.(*net.UnixConn), os.Stdin, os.Stdout)
		})
	return command
}

// join copies both ways until the socket has said all, or the context ends. The end
// of what is asked is not the end of the answer.
func join(ctx context.Context, conn *net.UnixConn, in io.Reader, out io.Writer) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	go func() {
		if _, err := io.Copy(conn, in); err == nil {
			conn.CloseWrite() // if the socket is gone, the answer says so
		}
	}()
	_, err := io.Copy(out, conn)
	if errors.Is(err, net.ErrClosed) {
		return ctx.Err()
	}
	return err
}
