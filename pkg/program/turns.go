package program

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	// turnTime is how long a large answer may take to send. Twenty thousand
	// volumes are 14 MB of metrics: less than two seconds at 100 Mbit/s.
	turnTime = 3 * time.Second
	// patience is how long a client waits for its turn: for two others that take
	// all their time. Prometheus gives up after ten seconds by default.
	patience = 7 * time.Second
)

// turns lets clients have large answers one at a time, so that no more than one
// takes memory. Clients take turns: one that sends many requests does not keep
// the others waiting longer than one that sends a few.
type turns struct {
	all queue // of clients

	mu      sync.Mutex // guards clients, and queue.requests of each
	clients map[string]*queue
}

// queue holds whoever's turn it is; the others wait in the order in which they
// came.
type queue struct {
	turn     chan struct{}
	requests int // that have it or wait for it
}

func newTurns() *turns {
	return &turns{all: queue{turn: make(chan struct{}, 1)}, clients: map[string]*queue{}}
}

// take makes each request to next wait for its turn.
func (t *turns) take(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := clientOf(r.RemoteAddr)
		own := t.enter(client)
		defer t.leave(client)
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		for _, q := range []*queue{own, &t.all} {
			select {
			case q.turn <- struct{}{}:
				defer func() { <-q.turn }()
			case <-ctx.Done():
				http.Error(w, "this is answered to one client at a time, and others are slow to read: ask again later", http.StatusServiceUnavailable)
				return
			}
		}
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(turnTime)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// enter returns the queue of a client's own requests.
func (t *turns) enter(client string) *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.clients[client]
	if own == nil {
		own = &queue{turn: make(chan struct{}, 1)}
		t.clients[client] = own
	}
	own.requests++
	return own
}

func (t *turns) leave(client string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.clients[client]
	if own.requests--; own.requests == 0 {
		delete(t.clients, client)
	}
}
