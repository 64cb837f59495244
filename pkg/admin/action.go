package admin

import (
	"context"
	"net/http"

	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/store"
)

// DiskAction is the body of POST /disks/init and /disks/accept, and without a
// token of /disks/init/plan and /disks/accept/plan, which change nothing.
type DiskAction struct {
	Path string `json:"path"`
	// Token is the plan's that the operator was shown. The action is refused if
	// something else is there by now.
	Token string `json:"token,omitempty"`
}

// DiskDone is what came of an action.
type DiskDone struct {
	Path    string `json:"path"`
	UUID    string `json:"uuid"`
	Volumes int    `json:"volumes"`
	// Warning is why a restart of the plugin may ask again, "" if it does not.
	Warning string `json:"warning,omitempty"`
}

// Cordoned is the answer to POST /disks/cordon and /disks/uncordon: why the disk takes
// no new volumes now, "" if it does.
type Cordoned struct {
	Why string `json:"why,omitempty"`
}

// handleDiskActions serves what an operator decides about a disk.
func handleDiskActions(mux *http.ServeMux, s *store.Store) {
	for _, action := range []disk.Action{disk.Init, disk.Accept} {
		mux.HandleFunc("POST "+actionPath(action)+"/plan", carryOut(func(ctx context.Context, a DiskAction) (disk.Plan, error) {
			return s.Plan(ctx, action, a.Path)
		}))
		mux.HandleFunc("POST "+actionPath(action), carryOut(func(ctx context.Context, a DiskAction) (DiskDone, error) {
			done, err := s.Act(ctx, action, a.Path, a.Token)
			if err != nil {
				return DiskDone{}, err
			}
			d := DiskDone{Path: done.Path, UUID: done.UUID, Volumes: done.Volumes}
			if done.PersistErr != nil {
				d.Warning = done.PersistErr.Error()
			}
			return d, nil
		}))
	}
	for _, on := range []bool{true, false} {
		mux.HandleFunc("POST "+cordonPath(on), carryOut(func(ctx context.Context, a DiskAction) (Cordoned, error) {
			why, err := s.Cordon(ctx, a.Path, on)
			if err != nil || why == nil {
				return Cordoned{}, err
			}
			return Cordoned{Why: why.Error()}, nil
		}))
	}
}

func cordonPath(on bool) string {
	if on {
		return "/disks/cordon"
	}
	return "/disks/uncordon"
}

// Cordon lets a disk take no new volumes, or lets it take them again.
func (c *Client) Cordon(ctx context.Context, path string, on bool) (now Cordoned, err error) {
	err = c.post(ctx, cordonPath(on), DiskAction{Path: path}, &now)
	return now, err
}

func actionPath(action disk.Action) string { return "/disks/" + string(action) }

// PlanDiskAction asks what an action would do.
func (c *Client) PlanDiskAction(ctx context.Context, action disk.Action, path string) (p disk.Plan, err error) {
	err = c.post(ctx, actionPath(action)+"/plan", DiskAction{Path: path}, &p)
	return p, err
}

// Act has a plan carried out.
func (c *Client) Act(ctx context.Context, action disk.Action, plan disk.Plan) (d DiskDone, err error) {
	err = c.post(ctx, actionPath(action), DiskAction{Path: plan.Path, Token: plan.Token}, &d)
	return d, err
}
