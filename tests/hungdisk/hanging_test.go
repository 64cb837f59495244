package hungdisk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// volume is one in pool "c". Each call has one of its own.
type volume struct{ name, id, target string }

// call is what is asked of a disk that hangs.
type call struct {
	name string
	// without has the volume not be there yet; published has it be published.
	without, published bool
	// snapshot has it have a snapshot.
	snapshot bool
	do       func(context.Context, *node, volume) error
	// away are the codes that may be answered while it is known that the disk
	// hangs, and atFirst those that may be before.
	away, atFirst []codes.Code
	// remembers says that the answer may come from memory.
	remembers bool
	// done checks what the call has done at last.
	done func(*testing.T, *node, volume)
}

var (
	fine        = []codes.Code{codes.OK}
	unavailable = []codes.Code{codes.Unavailable, codes.Aborted}
	remembered  = []codes.Code{codes.OK, codes.Unavailable, codes.Aborted}
)

var calls = []call{
	{
		name: "create", without: true,
		do:      func(ctx context.Context, n *node, v volume) error { _, err := n.create(ctx, "c", v.name); return err },
		away:    []codes.Code{codes.ResourceExhausted},
		atFirst: append([]codes.Code{codes.ResourceExhausted}, unavailable...), done: wantOnce,
	},
	{
		name: "publish",
		do:   func(ctx context.Context, n *node, v volume) error { return n.Publish(ctx, v.id, v.target) },
		away: unavailable, atFirst: unavailable, done: wantMounted,
	},
	{
		name: "stats", published: true,
		do: func(ctx context.Context, n *node, v volume) error {
			resp, err := n.Stats(ctx, v.id, v.target)
			if err == nil && len(resp.GetUsage()) == 0 {
				err = errors.New("no usage")
			}
			return err
		},
		away: unavailable, atFirst: unavailable, done: wantMounted,
	},
	{
		name: "expand", published: true,
		do:   func(ctx context.Context, n *node, v volume) error { return n.Expand(ctx, v.id, v.target, 2*mebibyte) },
		away: unavailable, atFirst: unavailable, done: wantMounted,
	},
	{ // to unmount needs nothing of the disk
		name: "unpublish", published: true,
		do:   func(ctx context.Context, n *node, v volume) error { return n.Unpublish(ctx, v.id, v.target) },
		away: fine, atFirst: fine, done: wantUnmounted,
	},
	{
		name: "delete",
		do:   func(ctx context.Context, n *node, v volume) error { return n.Delete(ctx, v.id) },
		away: unavailable, atFirst: unavailable, done: wantGone,
	},
	{
		name: "snapshot",
		do:   func(ctx context.Context, n *node, v volume) error { return n.snapshot(ctx, v) },
		away: unavailable, atFirst: unavailable, done: wantSnapshot,
	},
	{
		name: "forget", snapshot: true,
		do:   func(ctx context.Context, n *node, v volume) error { return n.deleteSnapshot(ctx, v) },
		away: unavailable, atFirst: unavailable, done: wantNoSnapshot,
	},
	{
		name: "clone",
		do:   func(ctx context.Context, n *node, v volume) error { return n.clone(ctx, v) },
		away: unavailable, atFirst: unavailable, done: wantClone,
	},
	{
		name: "validate",
		do:   func(ctx context.Context, n *node, v volume) error { _, err := n.validate(ctx, v.id); return err },
		away: remembered, atFirst: remembered, remembers: true, done: wantOnce,
	},
	{
		name: "health",
		do:   func(ctx context.Context, n *node, v volume) error { _, err := n.health(ctx, v.id); return err },
		away: remembered, atFirst: remembered, remembers: true, done: wantOnce,
	},
}

// prepare makes what a call needs, while the disk answers.
func (n *node) prepare(t *testing.T, c call) volume {
	t.Helper()
	v := volume{name: fmt.Sprintf("%s-%d", c.name, serial.Add(1))}
	v.target = n.target(v.name)
	if c.without {
		return v
	}
	var err error
	if v.id, err = n.create(t.Context(), "c", v.name); err != nil {
		t.Fatal(err)
	}
	if err := n.Publish(t.Context(), v.id, v.target); err != nil {
		t.Fatal(err)
	}
	// A program that another test starts in that moment would have the file as well, and be
	// stuck with it, and with the mount, when it closes it on a disk that hangs by then.
	syscall.ForkLock.RLock()
	err = os.WriteFile(filepath.Join(v.target, "precious"), []byte(v.name), 0o644)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	if c.snapshot {
		if err := n.snapshot(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	if !c.published {
		if err := n.Unpublish(t.Context(), v.id, v.target); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// prepareAll makes what each call needs.
func (n *node) prepareAll(t *testing.T) []volume {
	t.Helper()
	var all []volume
	for _, c := range calls {
		all = append(all, n.prepare(t, c))
	}
	return all
}

// wantAway makes all calls at once on disks that hang, and looks how they end. If
// they get more than a moment it may not be known yet that the disks do.
func (n *node) wantAway(t *testing.T, volumes []volume, limit time.Duration) {
	t.Helper()
	var wg sync.WaitGroup
	for i, c := range calls {
		wg.Go(func() {
			err := within(t, limit, c.name+" on a disk that hangs", func(ctx context.Context) error { return c.do(ctx, n, volumes[i]) })
			good := c.away
			if limit != moment {
				good = c.atFirst
			}
			plugin.WantCode(t, c.name+" on a disk that hangs", err, good...)
		})
	}
	wg.Wait()
}

// wantRecovery has the disk answer again, and checks that all is well: without a
// restart, each call succeeds when it is made again.
func (n *node) wantRecovery(t *testing.T, volumes []volume) {
	t.Helper()
	n.Answer(t)
	n.awaitRecovery(t)
	for i, c := range calls {
		n.wantRetry(t, c, volumes[i])
	}
	n.wantHealthy(t)
	n.wantLife(t, "c")
}

// wantRetry makes a call until it succeeds. What was in hand when the disk began
// to hang may have to end first.
func (n *node) wantRetry(t *testing.T, c call, v volume) {
	t.Helper()
	for deadline := time.Now().Add(recovers); ; time.Sleep(200 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), recovers)
		err := c.do(ctx, n, v)
		cancel()
		if err == nil {
			break
		}
		again := slices.Contains([]codes.Code{codes.Aborted, codes.Unavailable, codes.ResourceExhausted}, status.Code(err))
		if !again || time.Now().After(deadline) {
			t.Errorf("%s on a disk that answers again: %v", c.name, err)
			return
		}
	}
	c.done(t, n, v)
}

// wantListed checks how many volumes of a name there are.
func (n *node) wantListed(t *testing.T, name string, want int) {
	t.Helper()
	ids, err := n.listed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return !strings.HasSuffix(id, "."+name) })
	if len(ids) != want {
		t.Errorf("there are the volumes %q of the name %s, want %d", ids, name, want)
	}
	there, err := os.ReadDir(filepath.Join(n.c, "volumes"))
	if err != nil {
		t.Fatal(err)
	}
	there = slices.DeleteFunc(there, func(e os.DirEntry) bool { return e.Name() != name })
	if len(there) != want {
		t.Errorf("the disk has %d volumes of the name %s, want %d", len(there), name, want)
	}
}

func wantOnce(t *testing.T, n *node, v volume) { t.Helper(); n.wantListed(t, v.name, 1) }
func wantGone(t *testing.T, n *node, v volume) { t.Helper(); n.wantListed(t, v.name, 0) }

// mounts counts what is mounted at the volume's target.
func mounts(t *testing.T, n *node, v volume) (count int) {
	for _, at := range disk.MountsBelow(t, n.KubeletDir) {
		if at == v.target {
			count++
		}
	}
	return count
}

func wantMounted(t *testing.T, n *node, v volume) {
	t.Helper()
	wantOnce(t, n, v)
	if count := mounts(t, n, v); count != 1 {
		t.Errorf("%d mounts at %s, want one", count, v.target)
	}
	content, err := os.ReadFile(filepath.Join(v.target, "precious"))
	if err != nil || string(content) != v.name {
		t.Errorf("%s holds %q: %v", v.target, content, err)
	}
}

func wantUnmounted(t *testing.T, n *node, v volume) {
	t.Helper()
	wantOnce(t, n, v)
	if count := mounts(t, n, v); count != 0 {
		t.Errorf("%d mounts at %s, want none", count, v.target)
	}
}
