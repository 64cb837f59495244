package main

import (
	"context"
	"net"
	"os/exec"
	"testing"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/tests/plugin"
)

// pipes is a connection to a process by its standard input and output.
type pipes struct {
	net.Conn // what nobody calls
	in       interface{ Write([]byte) (int, error) }
	out      interface{ Read([]byte) (int, error) }
	end      func() error
}

func (p *pipes) Write(b []byte) (int, error) { return p.in.Write(b) }
func (p *pipes) Read(b []byte) (int, error)  { return p.out.Read(b) }
func (p *pipes) Close() error                { return p.end() }

// TestRelay asks the plugin by way of `hostdir relay`.
func TestRelay(t *testing.T) {
	t.Parallel()
	p := layOut(t)
	p.Run(t)
	client := admin.Client{Dial: func(ctx context.Context) (net.Conn, error) {
		command := exec.CommandContext(ctx, plugin.Build(t), "relay", "--endpoint=unix://"+p.Socket)
		in, err := command.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := command.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := command.Start(); err != nil {
			return nil, err
		}
		return &pipes{in: in, out: out, end: func() error { in.Close(); return command.Wait() }}, nil
	}}
	disks, err := client.Disks(t.Context())
	if err != nil || len(disks.Disks) != 1 || disks.Disks[0].Path != p.Base {
		t.Errorf("by way of the relay: %+v, %v", disks, err)
	}
	if _, err := client.Undelete(t.Context(), "shop/nothing"); err == nil {
		t.Error("an order that cannot be carried out is not refused")
	}
}
