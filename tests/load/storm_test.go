package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/plugin"
)

// connections is how many clients there are: kubelet, the provisioner, and some.
const connections = 4

// storm is many volumes, with which much is done at once.
type storm struct {
	*plugin.Plugin
	clients []plugin.Client
	ctx     context.Context

	volumes []*volume
	calls   atomic.Int64
	busy    atomic.Int64 // calls that met another one on their volume
	lost    atomic.Int64 // calls that the program's end cut off

	mu     sync.Mutex // guards failed
	failed error      // the first that was not expected
}

// volume is one volume and what has been answered of it. One goroutine at a time
// works on it.
type volume struct {
	name      string
	id        string // "" while there is none
	capacity  int64
	published map[string]bool // by target path
}

const mebibyte = 1 << 20

// newStorm connects to a running plugin. The connections outlive the program.
func newStorm(t *testing.T, p *plugin.Plugin, volumes int) *storm {
	t.Helper()
	s := &storm{Plugin: p, ctx: t.Context()}
	for range connections {
		conn, err := grpc.NewClient("unix://"+p.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond}}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		s.clients = append(s.clients, plugin.NewClient(conn))
	}
	for i := range volumes {
		s.volumes = append(s.volumes, &volume{name: fmt.Sprintf("pvc-%04d", i), published: map[string]bool{}})
	}
	return s
}

// createAll creates every volume that there is not, all at once.
func (s *storm) createAll() {
	var wg sync.WaitGroup
	for _, v := range s.volumes {
		wg.Go(func() { s.create(v) })
	}
	wg.Wait()
}

// rage does this and that with every volume until the time is over: each volume
// has a goroutine, of which some work at a time.
func (s *storm) rage(atOnce int, d time.Duration) {
	end := time.Now().Add(d)
	turns := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for _, v := range s.volumes {
		wg.Go(func() {
			for time.Now().Before(end) && s.err() == nil {
				turns <- struct{}{}
				s.doAnything(v)
				<-turns
			}
		})
	}
	wg.Wait()
}

func (s *storm) doAnything(v *volume) {
	target := filepath.Join(s.KubeletDir, fmt.Sprintf("%s-%d", v.name, rand.IntN(2)))
	if v.id == "" {
		s.create(v)
		return
	}
	switch rand.IntN(6) {
	case 0:
		if len(v.published) > 0 {
			s.twice("delete of a published volume", codes.FailedPrecondition, func(c plugin.Client) error { return c.DeleteNow(s.ctx, v.id) })
			return
		}
		if s.twice("delete", codes.OK, func(c plugin.Client) error { return c.Delete(s.ctx, v.id) }) {
			v.id = ""
		}
	case 1, 2:
		if s.twice("publish", codes.OK, func(c plugin.Client) error { return c.Publish(s.ctx, v.id, target) }) {
			v.published[target] = true
		}
	case 3:
		if s.twice("unpublish", codes.OK, func(c plugin.Client) error { return c.Unpublish(s.ctx, v.id, target) }) {
			delete(v.published, target)
		}
	case 4:
		larger := v.capacity + 64<<10
		if s.twice("expand", codes.OK, func(c plugin.Client) error { return c.Expand(s.ctx, v.id, target, larger) }) {
			v.capacity = larger
		}
	case 5:
		want := codes.NotFound
		if v.published[target] {
			want = codes.OK
		}
		s.twice("stats", want, func(c plugin.Client) error {
			_, err := c.Stats(s.ctx, v.id, target)
			if strings.Contains(status.Convert(err).Message(), "has not been counted yet") {
				err = nil // after a restart
			}
			return err
		})
	}
}

// create creates a volume twice at once: both answers must be the same.
func (s *storm) create(v *volume) {
	var mu sync.Mutex
	ids := map[string]bool{}
	if !s.twice("create", codes.OK, func(c plugin.Client) error {
		id, err := c.Create(s.ctx, v.name, mebibyte)
		if err == nil {
			mu.Lock()
			ids[id] = true
			mu.Unlock()
		}
		return err
	}) {
		return
	}
	if len(ids) != 1 {
		s.fail(fmt.Errorf("volume %s was created twice: %v", v.name, ids))
	}
	for v.id = range ids {
	}
	v.capacity = mebibyte
}

// twice sends a call twice at once, and each until it is answered, as the callers
// of hostdir do. It reports whether both got the answer that was wanted.
func (s *storm) twice(call string, want codes.Code, do func(plugin.Client) error) bool {
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { s.until(call, want, do) })
	}
	wg.Wait()
	return s.err() == nil
}

// patience is how long a call may be told to come again.
const patience = 5 * time.Minute

func (s *storm) until(call string, want codes.Code, do func(plugin.Client) error) {
	for began := time.Now(); ; time.Sleep(time.Duration(1+rand.IntN(20)) * time.Millisecond) {
		err := do(s.clients[rand.IntN(len(s.clients))])
		s.calls.Add(1)
		code := status.Code(err)
		switch {
		case code == want:
			return
		case code == codes.Aborted:
			s.busy.Add(1)
		case code == codes.Unavailable: // the program was killed
			s.lost.Add(1)
			time.Sleep(100 * time.Millisecond)
		default:
			s.fail(fmt.Errorf("%s: code %s, want %s: %w", call, code, want, err))
			return
		}
		if time.Since(began) > patience {
			s.fail(fmt.Errorf("%s: not answered in %s: %w", call, patience, err))
			return
		}
	}
}

func (s *storm) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
}

func (s *storm) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}
