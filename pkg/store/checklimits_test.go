package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

func TestLimitedCheck(t *testing.T) {
	onLimited(t, func(t *testing.T, base string) {
		s := openStore(t, onePool(base))
		v, other := mustCreate(t, s, limitedRequest("pvc-1")), mustCreate(t, s, limitedRequest("pvc-2"))
		wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings)

		limits, _ := only(t, s).limiter()
		data, err := os.Open(v.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer data.Close()
		for _, limit := range []quota.Limit{{}, {Bytes: 2 * limited}} {
			if err := limits.Set(data, v.Quota.ID, limit); err != nil {
				t.Fatal(err)
			}
			wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings, "LimitNotInForce volumes/pvc-1")
			if _, left, err := s.Repair(t.Context(), nothingMounted); err != nil || len(left.Findings) > 0 {
				t.Errorf("after the repair: %+v, %v", left, err)
			}
			if now, _, err := limits.Get(data, v.Quota.ID); err != nil || now.Bytes != limited {
				t.Errorf("the limit is %+v, %v", now, err)
			}
		}

		// A volume that is expanded only by its record.
		leaveRecordGrown(t, v, 2*limited)
		wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings, "StaleMemory volumes/pvc-1", "LimitNotInForce volumes/pvc-1")
		if _, left, err := s.Repair(t.Context(), nothingMounted); err != nil || len(left.Findings) > 0 {
			t.Errorf("after the repair: %+v, %v", left, err)
		}
		if now, _, err := limits.Get(data, v.Quota.ID); err != nil || now.Bytes != 2*limited {
			t.Errorf("the limit is %+v, %v", now, err)
		}

		// A record whose quota is another volume's.
		wrong := other
		wrong.Quota = v.Quota
		leaveRecord(t, wrong)
		found := mustCheck(t, s, nothingMounted).Findings
		shared := false
		for _, f := range found {
			shared = shared || f.Kind == SharedLimit && f.Path == filepath.Join(base, "volumes/pvc-2") && !f.Repairable
		}
		if !shared {
			t.Errorf("that two volumes share a limit is not found: %+v", found)
		}
		leaveRecord(t, other)
		wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings)

		// A filesystem that does not limit any more.
		only(t, s).limits, only(t, s).whyAdvisory = nil, os.ErrInvalid
		wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings, "LimitUnsupported volumes/pvc-1", "LimitUnsupported volumes/pvc-2")
	})
}

func TestCheckDuringCalls(t *testing.T) {
	t.Parallel()
	checkDuringCalls(t, t.TempDir())
}

func TestLimitedCheckDuringCalls(t *testing.T) { onLimited(t, checkDuringCalls) }

// checkDuringCalls checks while volumes are made, expanded and deleted, and finds
// nothing: what a call has in hand is no damage.
func checkDuringCalls(t *testing.T, base string) {
	const workers, claims = 8, 4
	s := openStore(t, onePool(base))
	end := time.Now().Add(3 * time.Second)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for i := 0; time.Now().Before(end); i++ {
				req := request(fmt.Sprintf("pvc-%d-%d", worker, i%3))
				req.Claim = Claim{"shop", fmt.Sprintf("claim-%d-%d", worker, random.IntN(claims))}
				v, err := s.Create(t.Context(), req)
				if isBusy(err) { // the check looks at it
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Expand(t.Context(), v.ID, v.CapacityBytes+mebibyte, 0); err != nil && !isBusy(err) {
					t.Error(err)
				}
				if random.IntN(3) > 0 {
					continue // made again, it is the same
				}
				if err := s.Delete(t.Context(), v.ID, anyUse); err != nil && !isBusy(err) {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for time.Now().Before(end) {
			s.purgeAll(t.Context())
			s.countAll(t.Context())
		}
	})
	checks := 0
	for ; time.Now().Before(end); checks++ {
		wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings)
	}
	wg.Wait()
	wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings)
	t.Logf("%d checks", checks)
}

func isBusy(err error) bool { return errors.Is(err, errdefs.ErrBusy) }
