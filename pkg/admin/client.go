package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Client asks the plugin that serves at the socket.
type Client struct {
	Socket string
	// Dial reaches the plugin in another way, nil for the socket.
	Dial func(ctx context.Context) (net.Conn, error)

	version atomic.Pointer[string]
}

// VersionHeader carries the plugin's version with every answer, so that nobody has to
// ask for it.
const VersionHeader = "Hostdir-Version"

// Older stands for the version of a plugin that does not tell it yet.
const Older = "older"

// Version is the plugin's, as its last answer told: "" before the first one.
func (c *Client) Version() string {
	if v := c.version.Load(); v != nil {
		return *v
	}
	return ""
}

// Refused is the status of an order that the plugin does not carry out, with the
// reason in the body.
const Refused = http.StatusConflict

// ErrRefused is returned for an order that the plugin does not carry out. The error's
// text is the plugin's.
var ErrRefused = errors.New("the node plugin refuses")

type refusal string

func (r refusal) Error() string        { return string(r) }
func (r refusal) Is(target error) bool { return target == ErrRefused }

// Disks asks for the disks.
func (c *Client) Disks(ctx context.Context) (d Disks, err error) {
	err = c.get(ctx, "/disks", &d)
	return d, err
}

// Volumes asks for the volumes.
func (c *Client) Volumes(ctx context.Context) (v Volumes, err error) {
	err = c.get(ctx, "/volumes", &v)
	return v, err
}

// timeout is for a plugin whose disks do not answer, if the caller has set none.
const timeout = 30 * time.Second

// get asks a question.
func (c *Client) get(ctx context.Context, path string, answer any) error {
	return c.do(ctx, http.MethodGet, path, nil, answer)
}

// post gives an order. What the plugin refuses comes back in its own words.
func (c *Client) post(ctx context.Context, path string, order, answer any) error {
	body, err := json.Marshal(order)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, path, body, answer)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte, answer any) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	plugin := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://hostdir"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := plugin.RoundTrip(req)
	if err != nil {
		if c.Dial != nil {
			return fmt.Errorf("the node plugin does not answer: %w", err)
		}
		return fmt.Errorf("the node plugin does not answer: %w; is it running? Commands work in its container: "+
			"kubectl -n hostdir-system exec POD -c hostdir -- /hostdir COMMAND", err)
	}
	defer resp.Body.Close()
	version := cmp.Or(resp.Header.Get(VersionHeader), Older)
	c.version.Store(&version)
	switch resp.StatusCode {
	case http.StatusOK:
		if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
			return fmt.Errorf("the answer of the node plugin cannot be read: %w", err)
		}
		return nil
	case Refused:
		return refusal(firstLine(resp.Body))
	default:
		return fmt.Errorf("the node plugin answers %s: %s", resp.Status, firstLine(resp.Body))
	}
}

func firstLine(r io.Reader) string {
	text, _ := io.ReadAll(io.LimitReader(r, 16<<10))
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	if c.Dial != nil {
		return c.Dial(ctx)
	}
	return (&net.Dialer{}).DialContext(ctx, "unix", c.Socket)
}
