package hungdisk

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/hungdisk/hang"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestHangsInTheMiddle has a disk hang in each call, after some of the call's
// requests, for longer than the call waits.
func TestHangsInTheMiddle(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	const parts = 4
	for _, c := range calls {
		if c.remembers { // perhaps without a request
			continue
		}
		for part := range parts + 1 {
			t.Run(fmt.Sprintf("%s after %d of %d", c.name, part, parts), func(t *testing.T) {
				t.Parallel()
				d := hang.Start(t)
				n := start(t, on(t, d))

				rehearsal := n.prepare(t, c)
				d.Answer(t)
				if err := c.do(t.Context(), n, rehearsal); err != nil {
					t.Fatal(err)
				}
				requests := d.Requests(t)
				if part > 0 && requests <= 1 {
					t.Skip("the call asks nothing of the disk")
				}

				v := n.prepare(t, c)
				answered := requests * part / parts
				if part == parts {
					answered = requests - 1 // the last one hangs
				}
				d.HangAfter(t, answered)
				patience := time.Minute
				if part%2 == 1 { // some callers have less time
					patience = 3 * time.Second
				}
				n.meanwhile(t, func() {
					err := within(t, givesUp, c.name, func(context.Context) error {
						ctx, cancel := context.WithTimeout(t.Context(), patience)
						defer cancel()
						return c.do(ctx, n, v)
					})
					plugin.WantCode(t, c.name, err, append([]codes.Code{codes.OK, codes.DeadlineExceeded}, c.atFirst...)...)
				})
				t.Logf("%d of %d requests were answered", answered, requests)

				d.Answer(t)
				n.awaitRecovery(t)
				n.wantRetry(t, c, v)
				n.wantHealthy(t)
			})
		}
	}
}
