package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Client asks the plugin that serves at the socket.
type Client struct {
	Socket string
}

// Pools asks for the base directories.
func (c *Client) Pools(ctx context.Context) (p Pools, err error) {
	err = c.get(ctx, "/pools", &p)
	return p, err
}

// Volumes asks for the volumes.
func (c *Client) Volumes(ctx context.Context) (v Volumes, err error) {
	err = c.get(ctx, "/volumes", &v)
	return v, err
}

// timeout is for a plugin whose disks do not answer.
const timeout = 30 * time.Second

func (c *Client) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	plugin := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", c.Socket)
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://hostdir"+path, nil)
	if err != nil {
		return err
	}
	resp, err := plugin.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("the node plugin does not answer: %w; is it running? This command works in its container: "+
			"kubectl -n hostdir-system exec POD -c hostdir -- /hostdir pools", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("the node plugin at %s answers %s: %s", c.Socket, resp.Status, strings.TrimSpace(string(text)))
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("the answer of the node plugin at %s cannot be read: %w", c.Socket, err)
	}
	return nil
}
