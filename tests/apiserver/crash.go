package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// Fault is what happens to a write.
type Fault string

const (
	// Refused does not reach the API server. The program goes on, with an error.
	Refused Fault = "refused"
	// Lost is done, but the answer is lost. The program goes on, with an error.
	Lost Fault = "lost"
	// Killed does not reach the API server, nor does any later request: the
	// program is dead. Crash.Killed is closed.
	Killed Fault = "killed"
)

// Faults are all of them.
var Faults = []Fault{Refused, Lost, Killed}

// Crash makes the n-th write of a client fail, counted from 1; of no write with 0.
// Reads and events that a manager's recorder sends are not counted.
type Crash struct {
	At    int
	Fault Fault

	once   sync.Once
	killed chan struct{}
	mu     sync.Mutex // guards what is below
	writes int
	log    []string
}

// Killed is closed when the program is to be dead.
func (c *Crash) Killed() <-chan struct{} {
	c.once.Do(func() { c.killed = make(chan struct{}) })
	return c.killed
}

// Happened reports whether there were as many writes as the crash needs.
func (c *Crash) Happened() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.At > 0 && c.writes >= c.At
}

// Writes returns what was written, in order: "patch PersistentVolume/status v".
func (c *Crash) Writes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.log...)
}

// NewClient makes a client that crashes. It is a value for manager.Options.NewClient.
func (c *Crash) NewClient(config *rest.Config, o client.Options) (client.Client, error) {
	inner, err := client.NewWithWatch(config, o)
	if err != nil {
		return nil, err
	}
	return c.Wrap(inner), nil
}

// Wrap makes a client crash.
func (c *Crash) Wrap(inner client.WithWatch) client.WithWatch {
	return interceptor.NewClient(inner, interceptor.Funcs{
		Get: func(ctx context.Context, in client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			return c.read(func() error { return in.Get(ctx, key, o, opts...) })
		},
		List: func(ctx context.Context, in client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			return c.read(func() error { return in.List(ctx, l, opts...) })
		},
		Create: func(ctx context.Context, in client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return c.write("create", o, "", func() error { return in.Create(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, in client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return c.write("delete", o, "", func() error { return in.Delete(ctx, o, opts...) })
		},
		DeleteAllOf: func(ctx context.Context, in client.WithWatch, o client.Object, opts ...client.DeleteAllOfOption) error {
			return c.write("delete all", o, "", func() error { return in.DeleteAllOf(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, in client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return c.write("update", o, "", func() error { return in.Update(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, in client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return c.write("patch", o, "", func() error { return in.Patch(ctx, o, p, opts...) })
		},
		Apply: func(ctx context.Context, in client.WithWatch, a runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			return c.write("apply", nil, "", func() error { return in.Apply(ctx, a, opts...) })
		},
		SubResourceCreate: func(ctx context.Context, in client.Client, sub string, o, s client.Object, opts ...client.SubResourceCreateOption) error {
			return c.write("create", o, sub, func() error { return in.SubResource(sub).Create(ctx, o, s, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, in client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			return c.write("update", o, sub, func() error { return in.SubResource(sub).Update(ctx, o, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, in client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return c.write("patch", o, sub, func() error { return in.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
		SubResourceApply: func(ctx context.Context, in client.Client, sub string, a runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
			return c.write("apply", nil, sub, func() error { return in.SubResource(sub).Apply(ctx, a, opts...) })
		},
	})
}

// Transport makes the clients of a rest.Config crash: a value for its WrapTransport.
func (c *Crash) Transport(inner http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		var response *http.Response
		do := func() (err error) {
			response, err = inner.RoundTrip(r)
			return err
		}
		var err error
		if r.Method == http.MethodGet {
			err = c.read(do)
		} else {
			err = c.write(r.Method+" "+r.URL.Path, nil, "", do)
		}
		if err != nil && response != nil { // its answer is lost
			response.Body.Close()
			response = nil
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var errDead = errors.New("the program was killed")

func (c *Crash) read(do func() error) error {
	select {
	case <-c.Killed():
		return errDead
	default:
		return do()
	}
}

func (c *Crash) write(verb string, o client.Object, sub string, do func() error) error {
	if err := c.read(func() error { return nil }); err != nil {
		return err
	}
	switch c.count(verb, o, sub) {
	case Refused:
		return apierrors.NewServiceUnavailable("the API server is not there")
	case Lost:
		if err := do(); err != nil {
			return err
		}
		return errors.New("the API server's answer was lost")
	case Killed:
		close(c.killed)
		return errDead
	}
	return do()
}

// count returns what is to happen to the write.
func (c *Crash) count(verb string, o client.Object, sub string) Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	what := verb
	if o != nil {
		what = fmt.Sprintf("%s %T %s", verb, o, client.ObjectKeyFromObject(o))
	}
	if sub != "" {
		what += " " + sub
	}
	c.log = append(c.log, what)
	if c.writes == c.At {
		return c.Fault
	}
	return ""
}

// AtEachWrite runs a test with a crash at its first write, then at its second, and
// so on until one ends without having come to its crash: for each fault.
func AtEachWrite(t *testing.T, test func(*testing.T, *Crash)) {
	const tooMany = 100
	for _, fault := range Faults {
		for n := 1; ; n++ {
			c := &Crash{At: n, Fault: fault}
			if !t.Run(fmt.Sprintf("write %d is %s", n, fault), func(t *testing.T) { test(t, c) }) || !c.Happened() {
				break
			}
			if n == tooMany {
				t.Fatalf("after %d writes it is not done: %q", n, c.Writes())
			}
		}
	}
}
