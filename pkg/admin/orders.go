package admin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/hostdir/hostdir/pkg/store"
)

// PoolOrder is what is posted to /pools/init and /pools/accept, and with nothing
// found to /pools/init/plan and /pools/accept/plan, which change nothing.
type PoolOrder struct {
	Path string `json:"path"`
	// Found is what the operator was shown. The order is refused if something
	// else is there by now.
	Found string `json:"found,omitempty"`
}

// PoolPlan is what an order would do.
type PoolPlan struct {
	Path   string `json:"path"`
	Was    string `json:"was"`
	Found  string `json:"found"`
	Effect string `json:"effect"`
}

func (p PoolPlan) String() string {
	return fmt.Sprintf("%s\n  was:  %s\n  now:  %s\n%s", p.Path, p.Was, p.Found, p.Effect)
}

// PoolDone is what came of an order.
type PoolDone struct {
	Path    string `json:"path"`
	UUID    string `json:"uuid"`
	Volumes int    `json:"volumes"`
	// Warning is why a restart of the plugin may ask again, "" if it does not.
	Warning string `json:"warning,omitempty"`
}

// handlePoolOrders serves the orders that an operator gives for a base directory.
func handlePoolOrders(mux *http.ServeMux, s *store.Store) {
	for _, order := range []store.BaseOrder{store.Init, store.Accept} {
		mux.HandleFunc("POST "+orderPath(order)+"/plan", carryOut(func(_ context.Context, o PoolOrder) (PoolPlan, error) {
			p, err := s.PlanOrder(order, o.Path)
			return PoolPlan(p), err
		}))
		mux.HandleFunc("POST "+orderPath(order), carryOut(func(ctx context.Context, o PoolOrder) (PoolDone, error) {
			done, err := s.CarryOut(ctx, order, o.Path, o.Found)
			if err != nil {
				return PoolDone{}, err
			}
			d := PoolDone{Path: done.Path, UUID: done.UUID, Volumes: done.Volumes}
			if done.Forgetful != nil {
				d.Warning = done.Forgetful.Error()
			}
			return d, nil
		}))
	}
}

func orderPath(order store.BaseOrder) string { return "/pools/" + string(order) }

// PlanPoolOrder asks what an order would do.
func (c *Client) PlanPoolOrder(ctx context.Context, order store.BaseOrder, path string) (p PoolPlan, err error) {
	err = c.post(ctx, orderPath(order)+"/plan", PoolOrder{Path: path}, &p)
	return p, err
}

// GivePoolOrder has a plan carried out.
func (c *Client) GivePoolOrder(ctx context.Context, order store.BaseOrder, plan PoolPlan) (d PoolDone, err error) {
	err = c.post(ctx, orderPath(order), PoolOrder{Path: plan.Path, Found: plan.Found}, &d)
	return d, err
}
