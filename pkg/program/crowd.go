package program

import (
	"net"
	"slices"
	"sync"
)

// socketBuffer bounds what the kernel keeps for a client that does not read, in
// bytes. By itself the kernel lets it grow to megabytes, and charges them to the
// container.
const socketBuffer = 64 << 10

// crowd is a listener that accepts everybody and keeps at most a number of
// connections. For one too many it closes another: the oldest of the client that
// has most. So whoever takes all the connections loses his own. A listener that
// stopped to accept would let kubelet wait behind him instead, and kubelet would
// restart the container.
type crowd struct {
	net.Listener
	most int

	mu   sync.Mutex // guards open
	open []*member  // the oldest first
}

// member is one connection of a crowd.
type member struct {
	net.Conn
	client string // its IP address
	crowd  *crowd
}

func newCrowd(listener net.Listener, most int) *crowd {
	return &crowd{Listener: listener, most: most}
}

// Accept implements net.Listener.
func (c *crowd) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// An error means that the connection is gone, which its first use
		// reports.
		_ = tcp.SetReadBuffer(socketBuffer)
		_ = tcp.SetWriteBuffer(socketBuffer)
	}
	m := &member{Conn: conn, client: clientOf(conn.RemoteAddr().String()), crowd: c}
	if victim := c.admit(m); victim != nil {
		victim.Close()
	}
	return m, nil
}

// admit adds a connection, and returns the one that has to go for it, if any.
func (c *crowd) admit(m *member) (victim *member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, m)
	if len(c.open) <= c.most {
		return nil
	}
	has := map[string]int{}
	for _, other := range c.open {
		has[other.client]++
	}
	victim = c.open[0]
	for _, other := range c.open {
		if has[other.client] > has[victim.client] {
			victim = other
		}
	}
	return victim
}

// Close implements net.Conn.
func (m *member) Close() error {
	m.crowd.mu.Lock()
	m.crowd.open = slices.DeleteFunc(m.crowd.open, func(other *member) bool { return other == m })
	m.crowd.mu.Unlock()
	return m.Conn.Close()
}

// clientOf returns who is at a remote address: one IP address is one client,
// whatever ports it uses.
func clientOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
