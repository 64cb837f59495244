package store

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	pkgdisk "github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// busy takes all places of a kind on a disk until leave is called.
func busy(t *testing.T, d *diskState, k kind) (leave func()) {
	t.Helper()
	done := make(chan struct{})
	for range cap(d.calls.places[k]) {
		if _, err := start(t.Context(), d, k, "a test", func() (int, error) { <-done; return 0, nil }); err != nil {
			t.Fatal(err)
		}
	}
	leave = sync.OnceFunc(func() { close(done) })
	t.Cleanup(leave)
	return leave
}

// hang makes a disk unresponsive until answer is called, as a call does that has
// been out for too long.
func hang(t *testing.T, d *diskState) (answer func()) {
	t.Helper()
	answer = sync.OnceFunc(d.calls.begin("a test", -time.Second))
	t.Cleanup(answer)
	return answer
}

func soon(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// awaitIdle waits until no call is at work on a disk.
func awaitIdle(t *testing.T, d *diskState) {
	t.Helper()
	for range 1000 {
		if d.calls.idle() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("calls are out still")
}

func TestCallsHavePlaces(t *testing.T) {
	t.Parallel()
	d := accountOf("storage", 1)
	leave := busy(t, d, change)
	if _, err := run(soon(t, 50*time.Millisecond), d, change, "one more", func() (int, error) { return 0, nil }); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("one more call than there are places: %v", err)
	}
	// Those who read have their own.
	if n, err := run(t.Context(), d, read, "a look", func() (int, error) { return 7, nil }); n != 7 || err != nil {
		t.Errorf("a look returns %d, %v", n, err)
	}
	waits := make(chan error)
	go func() {
		_, err := run(t.Context(), d, change, "one that waits", func() (int, error) { return 0, nil })
		waits <- err
	}()
	leave()
	if err := <-waits; err != nil {
		t.Errorf("a call that waited for a place: %v", err)
	}
	awaitIdle(t, d)
	if n := len(d.calls.places[change]); n != 0 {
		t.Errorf("%d places are taken by nobody", n)
	}
}

// TestCallsGiveUp lets a disk stop answering while calls are at work, and while
// others wait for a place.
func TestCallsGiveUp(t *testing.T) {
	t.Parallel()
	d := accountOf("storage", 1)
	leave := busy(t, d, change)
	results := make(chan error, 2)
	go func() {
		_, err := run(t.Context(), d, change, "a call without a place", func() (int, error) { return 0, errors.New("it was begun") })
		results <- err
	}()
	out := make(chan struct{})
	go func() {
		_, err := run(t.Context(), d, read, "a call that is out", func() (int, error) { <-out; return 0, nil })
		results <- err
	}()
	time.Sleep(20 * time.Millisecond)
	answer := hang(t, d)
	began := time.Now()
	for range 2 {
		err := <-results
		if !errors.Is(err, errdefs.ErrUnavailable) || pkgdisk.ReasonOf(err) != pkgdisk.Unresponsive {
			t.Errorf("error %v, want one that says that the disk does not answer", err)
		}
	}
	if waited := time.Since(began); waited > 5*time.Second {
		t.Errorf("callers were kept for %s", waited)
	}
	began = time.Now()
	if _, err := run(t.Context(), d, read, "a new call", func() (int, error) { return 0, nil }); pkgdisk.ReasonOf(err) != pkgdisk.Unresponsive || time.Since(began) > time.Second {
		t.Errorf("a new call returns %v after %s", err, time.Since(began))
	}
	answer()
	leave()
	close(out)
	awaitIdle(t, d)
	if _, err := run(t.Context(), d, change, "a new call", func() (int, error) { return 0, nil }); err != nil {
		t.Errorf("a call once the disk answers: %v", err)
	}
}

// TestCallsPanic brings a panic to whoever waits, and gives the place back.
func TestCallsPanic(t *testing.T) {
	t.Parallel()
	d := accountOf("storage", 1)
	func() {
		defer func() {
			if r := recover(); r == nil || !strings.Contains(r.(string), "a bug") || !strings.Contains(r.(string), "calls_test.go") {
				t.Errorf("recovered %v, want the panic and where it was", r)
			}
		}()
		run(t.Context(), d, change, "a call with a bug", func() (int, error) { panic("a bug") })
		t.Error("the panic is lost")
	}()
	awaitIdle(t, d)
	if n := len(d.calls.places[change]); n != 0 {
		t.Errorf("%d places are taken by nobody", n)
	}
	// One that nobody waits for any more does not end the process.
	out := make(chan struct{})
	_, err := run(soon(t, 10*time.Millisecond), d, change, "a call with a bug", func() (int, error) { <-out; panic("a bug") })
	if !errors.Is(err, errLeftBehind) {
		t.Errorf("error %v, want %v", err, errLeftBehind)
	}
	close(out)
	awaitIdle(t, d)
}

func TestGate(t *testing.T) {
	for range 200 {
		var g gate
		var passed [2]bool
		var wg sync.WaitGroup
		wg.Go(func() { passed[0] = g.commit() })
		wg.Go(func() { passed[1] = g.abandon() })
		wg.Wait()
		if passed[0] == passed[1] {
			t.Fatalf("the call passes: %t, and its caller: %t", passed[0], passed[1])
		}
	}
}
