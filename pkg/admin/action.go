package admin

import (
	"cmp"
	"context"
	"fmt"
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

// String is what a person is told.
func (d DiskDone) String() string {
	return fmt.Sprintf("%s is in use: disk %s, volumes: %d", d.Path, d.UUID, d.Volumes)
}

// Err is what went wrong although it is done, nil if nothing did.
func (d DiskDone) Err() error {
	if d.Warning == "" {
		return nil
	}
	return fmt.Errorf("it is done, but hostdir cannot write it down and may ask again after a restart: %s", d.Warning)
}

// Cordoned is the answer to POST /disks/cordon and /disks/uncordon: why the disk takes
// no new volumes now, "" if it does.
type Cordoned struct {
	Why string `json:"why,omitempty"`
}

// String is what a person is told.
func (c Cordoned) String() string { return cmp.Or(c.Why, "it takes new volumes") }

// CordonPath is where a disk is cordoned, or uncordoned.
func CordonPath(on bool) string {
	if on {
		return "/disks/cordon"
	}
	return "/disks/uncordon"
}

// Cordon lets a disk take no new volumes, or lets it take them again.
func (c *Client) Cordon(ctx context.Context, path string, on bool) (now Cordoned, err error) {
	err = c.post(ctx, CordonPath(on), DiskAction{Path: path}, &now)
	return now, err
}

// DiskOrderPath is where an order about a disk is given.
func DiskOrderPath(order DiskOrder) string { return "/disks/" + string(order) }

// PlanDiskAction asks what an order would do.
func (c *Client) PlanDiskAction(ctx context.Context, order DiskOrder, path string) (p DiskPlan, err error) {
	err = c.post(ctx, DiskOrderPath(order)+"/plan", DiskAction{Path: path}, &p)
	return p, err
}

// Act has a plan carried out.
func (c *Client) Act(ctx context.Context, order DiskOrder, plan DiskPlan) (d DiskDone, err error) {
	err = c.post(ctx, DiskOrderPath(order), DiskAction{Path: plan.Path, Token: plan.Token}, &d)
	return d, err
}
