package program

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// port is a served port with /healthz, /readyz and /large.
type port struct{ address string }

func servePort(t *testing.T, large http.HandlerFunc) *port {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	good := func(context.Context) error { return nil }
	go func() { done <- ServeHealth(ctx, listener, good, good, map[string]http.Handler{"/large": large}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &port{listener.Addr().String()}
}

// client is the IP address of the n-th client: all of 127.0.0.0/8 is this
// machine.
func client(n int) string { return fmt.Sprintf("127.0.1.%d", n) }

// dial connects as a client, until the test ends.
func (p *port) dial(t *testing.T, from string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	conn, err := dialer.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ask sends a request as a client and reads the answer.
func (p *port) ask(t *testing.T, from, path string) (status int, body string, took time.Duration) {
	t.Helper()
	began := time.Now()
	conn := p.dial(t, from)
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: hostdir\r\nConnection: close\r\n\r\n", path)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("%s asks for %s: %v", from, path, err)
		return 0, "", time.Since(began)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), time.Since(began)
}

// wantProbed checks that the probes answer at once.
func (p *port) wantProbed(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body, took := p.ask(t, client(250), path); status != http.StatusOK || took > time.Second {
			t.Errorf("%s is answered with %d %q in %s, want 200 within a second", path, status, body, took)
		}
	}
}

// endless writes until it cannot.
func endless(w http.ResponseWriter, _ *http.Request) {
	line := []byte(strings.Repeat("x", 4<<10))
	for {
		if _, err := w.Write(line); err != nil {
			return
		}
	}
}

// TestProbedInACrowd probes while others hold what they can.
func TestProbedInACrowd(t *testing.T) {
	for _, test := range []struct {
		name, sends string
		clients     int // who send it, 200 times in all
	}{
		{"who say nothing", "", 1},
		{"who say nothing, of many addresses", "", 100},
		{"who end no request", "GET /healthz HTTP/1.1\r\nHost: ", 1},
		{"who send a body for ever", "GET /healthz HTTP/1.1\r\nHost: hostdir\r\nContent-Length: 1000000\r\n\r\n", 1},
		{"who stay", "GET /healthz HTTP/1.1\r\nHost: hostdir\r\n\r\n", 1},
		{"who do not read", "GET /large HTTP/1.1\r\nHost: hostdir\r\n\r\n", 1},
		{"who do not read, of many addresses", "GET /large HTTP/1.1\r\nHost: hostdir\r\n\r\n", 100},
		{"who do not read many answers", strings.Repeat("GET /healthz HTTP/1.1\r\nHost: hostdir\r\n\r\n", 1000), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := servePort(t, endless)
			before := heap()
			for i := range 200 {
				io.WriteString(p.dial(t, client(1+i%test.clients)), test.sends)
				if i%20 == 0 {
					p.wantProbed(t)
				}
			}
			p.wantProbed(t)
			if grown := int64(heap()) - int64(before); grown > 8<<20 {
				t.Errorf("the heap has grown by %d KiB", grown>>10)
			}
		})
	}
}

// heap is what the process keeps; the clients' share is small.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// TestLargeAnswersTakeTurns lets a client that does not read have its time, and
// no more, however many requests it sends.
func TestLargeAnswersTakeTurns(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now, most := 0, 0
	p := servePort(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		if strings.HasPrefix(r.RemoteAddr, client(1)+":") {
			endless(w, r)
		} else {
			io.WriteString(w, "figures")
		}
		mu.Lock()
		now--
		mu.Unlock()
	})
	for range 40 {
		io.WriteString(p.dial(t, client(1)), "GET /large HTTP/1.1\r\nHost: hostdir\r\n\r\n")
	}
	for range 2 {
		if status, body, took := p.ask(t, client(2), "/large"); status != http.StatusOK || body != "figures" || took > turnTime+time.Second {
			t.Errorf("another client is answered with %d %q in %s", status, body, took)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if most != 1 {
		t.Errorf("%d answers at a time, want 1", most)
	}
}

// TestLargeAnswerHangs keeps the only turn for ever: the others hear so.
func TestLargeAnswerHangs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	p := servePort(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	before := runtime.NumGoroutine()
	io.WriteString(p.dial(t, client(1)), "GET /large HTTP/1.1\r\nHost: hostdir\r\n\r\n")
	time.Sleep(100 * time.Millisecond)
	for range 1000 { // given up at once
		conn := p.dial(t, client(2))
		io.WriteString(conn, "GET /large HTTP/1.1\r\nHost: hostdir\r\n\r\n")
		conn.Close()
	}
	p.wantProbed(t)
	if status, body, took := p.ask(t, client(3), "/large"); status != http.StatusServiceUnavailable || !strings.Contains(body, "ask again later") || took > patience+time.Second {
		t.Errorf("answered with %d %q in %s", status, body, took)
	}
	if left := runtime.NumGoroutine() - before; left > 4*maxConnections {
		t.Errorf("%d goroutines are left", left)
	}
}

// TestCrowd admits one too many.
func TestCrowd(t *testing.T) {
	c := newCrowd(nil, 3)
	enter := func(client string) (m, victim *member) {
		a, _ := net.Pipe()
		m = &member{Conn: a, client: client, crowd: c}
		victim = c.admit(m)
		if victim != nil {
			victim.Close()
		}
		return m, victim
	}
	a1, _ := enter("a")
	b1, _ := enter("b")
	b2, _ := enter("b")
	if _, victim := enter("c"); victim != b1 {
		t.Errorf("%v goes, want the oldest of who has most", victim)
	}
	if _, victim := enter("d"); victim != a1 {
		t.Errorf("%v goes, want the oldest of all", victim)
	}
	b2.Close()
	b2.Close()
	if _, victim := enter("e"); victim != nil {
		t.Errorf("%v goes, though there is room", victim)
	}
	if len(c.open) != 3 {
		t.Errorf("%d are open, want 3", len(c.open))
	}
}
