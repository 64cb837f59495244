package powercut

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/store"
)

const mebibyte = 1 << 20

// workload makes volumes, has pods write to them, expands and deletes them, and
// makes some of them again, each in several goroutines at once.
type workload struct {
	workers, volumes int // each worker's volumes
	kills            int // how often the program is killed meanwhile
}

// run lets a node do the work. Its program is killed and started again meanwhile.
func (w workload) run(t *testing.T, n *node, luck *rand.Rand) {
	t.Helper()
	n.run(t)
	var wg sync.WaitGroup
	finished := make(chan struct{})
	for worker := range w.workers {
		luck := rand.New(rand.NewPCG(luck.Uint64(), luck.Uint64()))
		wg.Go(func() { w.work(t, n, worker, luck) })
	}
	go func() {
		wg.Wait()
		close(finished)
	}()
	defer wg.Wait() // also when a start fails the test: workers use t
	for range w.kills {
		select {
		case <-time.After(time.Duration(200+luck.IntN(400)) * time.Millisecond):
			n.Signal(t, syscall.SIGKILL)
			n.run(t)
		case <-finished:
		}
	}
	<-finished
	n.Signal(t, syscall.SIGTERM)
}

// work is one worker's.
func (w workload) work(t *testing.T, n *node, worker int, luck *rand.Rand) {
	for i := range w.volumes {
		name := fmt.Sprintf("pvc-%d-%d", worker, i)
		for life := range 3 {
			claim := store.Claim{Namespace: fmt.Sprintf("ns-%d", worker%2), Name: fmt.Sprintf("data-%d-%d-%d", worker, i, life)}
			calls := aLife(name, claim, luck)
			for _, c := range calls {
				if err := insist(n, c); err != nil {
					t.Error(err)
					return
				}
			}
			if last := calls[len(calls)-1]; last.kind != remove || last.name != name || calls[0].class == keptClass {
				break // it stays, or what is kept of it
			}
		}
	}
}

// aLife is what is asked for one volume: to make it, perhaps to write to it and
// to expand it, perhaps to delete it and to bring it back.
func aLife(name string, claim store.Claim, luck *rand.Rand) []call {
	class := class
	if luck.IntN(3) == 0 {
		class = keptClass
	}
	calls := []call{{kind: create, name: name, claim: claim, class: class, capacity: mebibyte}}
	for i := range luck.IntN(4) {
		if luck.IntN(2) == 0 {
			calls = append(calls, call{kind: expand, name: name, capacity: mebibyte + int64(i+1)*mebibyte/4})
		} else {
			calls = append(calls, call{kind: save, name: name, file: fmt.Sprintf("%s.%d", claim.Name, i), content: text(luck)})
		}
	}
	var copied []call
	if luck.IntN(2) == 0 {
		calls, copied = snapshots(calls, luck)
	}
	for _, k := range []kind{remove, undelete, remove}[:luck.IntN(4)] {
		if k != undelete || class == keptClass {
			calls = append(calls, call{kind: k, name: name})
		}
	}
	return append(calls, copied...)
}

// snapshots adds to the calls for a volume that a snapshot is made, and returns what
// becomes of that: a volume, perhaps, and its end.
func snapshots(calls []call, luck *rand.Rand) (now, later []call) {
	var v *volume
	for _, c := range calls {
		v = c.apply(v)
	}
	name := "snapshot-" + v.claim.Name
	now = append(calls, call{kind: snapshot, name: name, source: calls[0].name, claim: v.claim, class: v.class, capacity: v.capacity, files: v.files})
	if luck.IntN(3) > 0 {
		claim := store.Claim{Namespace: v.claim.Namespace, Name: "copy-" + v.claim.Name}
		later = append(later, call{kind: restore, name: "pvc-" + claim.Name, source: name, claim: claim, class: class, capacity: v.capacity + mebibyte, files: v.files})
	}
	if luck.IntN(2) == 0 {
		later = append(later, call{kind: forget, name: name})
	}
	return now, later
}

// class is what volumes are made with. Mode and owner are none that a directory
// has by itself.
var class = config.Class{Pool: config.DefaultPool, Mode: "2750", UID: 1234, GID: 4321, Quota: config.QuotaAuto}

// keptClass is the class of volumes that can be brought back.
var keptClass = func() config.Class {
	c := class
	c.TrashTTL = "1h0m0s"
	return c
}()

// text is what a file holds: some words, or some pages.
func text(luck *rand.Rand) string {
	return strings.Repeat(fmt.Sprintf("%x ", luck.Uint64()), 1<<luck.IntN(11))
}

// insist repeats a call that was cut short by the end of the program.
func insist(n *node, c call) error {
	deadline := time.Now().Add(time.Minute)
	for again := false; ; again = true {
		err := n.do(c)
		switch {
		case err == nil:
			return nil
		case again && isBack(c, err):
			return nil
		case c.kind != undelete && status.Code(err) != codes.Unavailable, time.Now().After(deadline):
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
