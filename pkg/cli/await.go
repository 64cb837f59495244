package cli

import (
	"context"
	"fmt"
	"time"
)

const (
	// lookEvery is how often is looked whether the cluster has come as far as it should.
	lookEvery = 300 * time.Millisecond
	// tellEvery is how often a person is told that it has not.
	tellEvery = 10 * time.Second
)

// await looks until something is so, and tells meanwhile what it waits for. Nothing is
// undone when it gives up: the same command goes on.
func (s *session) await(ctx context.Context, what string, timeout time.Duration, isSo func(ctx context.Context) (bool, error)) error {
	began, told := time.Now(), time.Now()
	for {
		so, err := isSo(ctx)
		if so || err != nil {
			return err
		}
		if time.Since(began) > timeout {
			return fmt.Errorf("after %s it is still not so that %s; the same command goes on waiting", timeout, what)
		}
		if time.Since(told) > tellEvery {
			told = time.Now()
			fmt.Fprintf(s.ErrOut, "waiting until %s (%s)\n", what, time.Since(began).Round(time.Second))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted while waiting until %s; the same command goes on: %w", what, ctx.Err())
		case <-time.After(lookEvery):
		}
	}
}
