package program

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// untilEnd serves until the context ends, and then for a while.
func untilEnd(while time.Duration, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(while)
		return err
	}
}

func TestServeAll(t *testing.T) {
	broken := errors.New("the port is taken")
	fails := func(context.Context) error { return broken }
	for _, test := range []struct {
		name    string
		servers Servers
		want    error
		took    time.Duration // after the context ended, or a server
	}{
		{"all end when asked", Servers{"a": untilEnd(time.Second, nil), "b": untilEnd(2*time.Second, nil)}, nil, 2 * time.Second},
		{"one fails", Servers{"a": fails, "b": untilEnd(time.Second, nil)}, broken, time.Second},
		{"the first error counts", Servers{"a": fails, "b": untilEnd(time.Second, errors.New("closed"))}, broken, time.Second},
		{"one fails at the end", Servers{"a": untilEnd(time.Second, broken)}, broken, time.Second},
		{"one never ends", Servers{"a": untilEnd(time.Hour, nil), "b": untilEnd(0, nil)}, nil, endTime},
		{"one fails, another never ends", Servers{"a": fails, "b": untilEnd(time.Hour, nil)}, broken, endTime},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const serves = time.Minute
				ctx, cancel := context.WithTimeout(t.Context(), serves)
				defer cancel()
				began := time.Now()
				err := ServeAll(ctx, test.servers)
				took := time.Since(began)
				time.Sleep(2 * time.Hour) // what was left behind ends too
				if !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				if took != test.took && took != serves+test.took {
					t.Errorf("it took %s, want %s after the end", took, test.took)
				}
			})
		})
	}
}
