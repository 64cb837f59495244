package hungdisk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/plugin"
)

// serial numbers volumes, so that each has its name.
var serial atomic.Int64

// create makes a volume in a pool.
func (n *node) create(ctx context.Context, pool, name string) (volumeID string, err error) {
	req := plugin.GoodCreate(name, mebibyte)
	req.Parameters = map[string]string{"pool": pool}
	resp, err := n.CreateVolume(ctx, req)
	return resp.GetVolume().GetVolumeId(), err
}

func (n *node) validate(ctx context.Context, volumeID string) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	return n.ValidateVolumeCapabilities(ctx, &csi.ValidateVolumeCapabilitiesRequest{
		VolumeId:           volumeID,
		VolumeCapabilities: []*csi.VolumeCapability{plugin.Capability(plugin.SingleWriter)},
	})
}

func (n *node) health(ctx context.Context, volumeID string) ([]*csi.VolumeHealth_VolumeHealthEntry, error) {
	resp, err := n.NodeGetVolumeHealth(ctx, &csi.NodeGetVolumeHealthRequest{VolumeId: volumeID})
	return resp.GetVolumeHealth().GetHealthStatuses(), err
}

func (n *node) capacity(ctx context.Context, pool string) (int64, error) {
	resp, err := n.GetCapacity(ctx, &csi.GetCapacityRequest{Parameters: map[string]string{"pool": pool}})
	return resp.GetAvailableCapacity(), err
}

// listed are the IDs of all volumes that ListVolumes knows.
func (n *node) listed(ctx context.Context) ([]string, error) {
	resp, err := n.ListVolumes(ctx, &csi.ListVolumesRequest{})
	var ids []string
	for _, e := range resp.GetEntries() {
		ids = append(ids, e.GetVolume().GetVolumeId())
	}
	return ids, err
}

// wantHealthy checks that the healthy disks serve, and that what answers from
// memory answers, each within a moment.
func (n *node) wantHealthy(t *testing.T) {
	t.Helper()
	n.wantServed(t, moment)
}

// wantHealthyMeanwhile is wantHealthy while it is not known yet which disks hang.
// To create a volume in pool "mixed" the program may try the one that does first.
func (n *node) wantHealthyMeanwhile(t *testing.T) {
	t.Helper()
	n.wantServed(t, elsewhere)
}

// elsewhere is how soon a volume is made on the other disk of a pool while nobody
// knows yet that one hangs: once a look at that is late.
const elsewhere = 2 * time.Second

func (n *node) wantServed(t *testing.T, createMixed time.Duration) {
	t.Helper()
	n.wantLife(t, "a")
	n.wantLife(t, "b")
	n.wantLifeWithin(t, "mixed", createMixed)
	n.wantAnswers(t)
}

// wantLife has a volume live its whole life in a pool.
func (n *node) wantLife(t *testing.T, pool string) {
	t.Helper()
	n.wantLifeWithin(t, pool, moment)
}

func (n *node) wantLifeWithin(t *testing.T, pool string, create time.Duration) {
	t.Helper()
	name := fmt.Sprintf("healthy-%d", serial.Add(1))
	target := n.target(name)
	var id string
	want(t, create, "create in pool "+pool, func(ctx context.Context) (err error) {
		id, err = n.create(ctx, pool, name)
		return err
	})
	if id == "" {
		return
	}
	for _, step := range []struct {
		what string
		call func(context.Context) error
	}{
		{"publish", func(ctx context.Context) error { return n.Publish(ctx, id, target) }},
		{"stats", func(ctx context.Context) error { _, err := n.Stats(ctx, id, target); return err }},
		{"expand", func(ctx context.Context) error { return n.Expand(ctx, id, target, 2*mebibyte) }},
		{"validate", func(ctx context.Context) error { _, err := n.validate(ctx, id); return err }},
		{"health", func(ctx context.Context) error {
			problems, err := n.health(ctx, id)
			if len(problems) > 0 {
				err = fmt.Errorf("the volume is not well: %v", problems)
			}
			return err
		}},
		{"list", func(ctx context.Context) error {
			ids, err := n.listed(ctx)
			if err == nil && !slices.Contains(ids, id) {
				err = errors.New("the volume is not listed")
			}
			return err
		}},
		{"unpublish", func(ctx context.Context) error { return n.Unpublish(ctx, id, target) }},
		{"delete", func(ctx context.Context) error { return n.Delete(ctx, id) }},
	} {
		want(t, moment, fmt.Sprintf("%s in pool %s", step.what, pool), step.call)
	}
}

// wantAnswers checks what answers from memory.
func (n *node) wantAnswers(t *testing.T) {
	t.Helper()
	for _, pool := range []string{"a", "b", "mixed"} {
		want(t, moment, "capacity of pool "+pool, func(ctx context.Context) error {
			room, err := n.capacity(ctx, pool)
			if err == nil && room <= 0 {
				err = fmt.Errorf("there are %d bytes", room)
			}
			return err
		})
	}
	want(t, moment, "probe", func(ctx context.Context) error {
		_, err := csi.NewIdentityClient(n.Conn).Probe(ctx, &csi.ProbeRequest{})
		return err
	})
	want(t, moment, "storage health", func(ctx context.Context) error {
		_, err := n.NodeGetStorageHealth(ctx, &csi.NodeGetStorageHealthRequest{})
		return err
	})
	want(t, moment, "/healthz", func(ctx context.Context) error {
		_, code, err := n.get(ctx, person, "/healthz")
		if err == nil && code != 200 {
			err = fmt.Errorf("code %d", code)
		}
		return err
	})
	want(t, moment, "/metrics", func(ctx context.Context) error {
		s, err := n.scrape(ctx)
		for pool, path := range map[string]string{"a": n.a, "b": n.b, "mixed": n.d} {
			if err == nil && s.value("hostdir_disk_up", map[string]string{"pool": pool, "path": path}) != 1 {
				err = fmt.Errorf("disk %s of pool %s is not up", path, pool)
			}
		}
		return err
	})
	want(t, moment, "hostdir disks", func(ctx context.Context) error {
		disks, err := n.disks(t, ctx)
		for _, path := range []string{n.a, n.b, n.d} {
			if err == nil && disks[path].State != ready {
				err = fmt.Errorf("%s: %+v", path, disks[path])
			}
		}
		return err
	})
	for command, heading := range map[string]string{"volumes": "POOL", "trash": "VOLUME"} {
		want(t, moment, "hostdir "+command, func(ctx context.Context) error {
			out, err := n.command(t, ctx, command)
			if err == nil && !strings.Contains(string(out), heading) {
				err = fmt.Errorf("it shows %s", out)
			}
			return err
		})
	}
}

// wantKnown checks that all who ask can see which disks hang.
func (n *node) wantKnown(t *testing.T) {
	t.Helper()
	want(t, moment, "capacity of pool c", func(ctx context.Context) error {
		room, err := n.capacity(ctx, "c")
		if err == nil && room != 0 {
			err = fmt.Errorf("there are %d bytes", room)
		}
		return err
	})
	want(t, moment, "storage health", func(ctx context.Context) error {
		resp, err := n.NodeGetStorageHealth(ctx, &csi.NodeGetStorageHealthRequest{})
		if err == nil && len(resp.GetBackendHealth()) == 0 {
			err = errors.New("all is well")
		}
		return err
	})
	want(t, moment, "/metrics", func(ctx context.Context) error {
		s, err := n.scrape(ctx)
		for pool, path := range map[string]string{"c": n.c, "mixed": n.e} {
			labels := map[string]string{"pool": pool, "path": path}
			if err == nil && s.value("hostdir_disk_up", labels) != 0 {
				err = fmt.Errorf("%s is up", path)
			}
			labels["reason"] = unresponsive
			if err == nil && s.value("hostdir_disk_unusable", labels) != 1 {
				err = fmt.Errorf("%s is not unresponsive", path)
			}
		}
		return err
	})
}

// wantSick checks that a volume on a disk that is known to hang is not said to be
// well. Of a disk that hangs since the start no volume is known.
func (n *node) wantSick(t *testing.T, v volume) {
	t.Helper()
	want(t, moment, "health of a volume on a disk that hangs", func(ctx context.Context) error {
		problems, err := n.health(ctx, v.id)
		if status.Code(err) == codes.Unavailable {
			return nil
		}
		if err == nil && len(problems) == 0 {
			err = errors.New("all is well")
		}
		return err
	})
}

// wantPurged checks that deleted volumes go from the healthy disks.
func (n *node) wantPurged(t *testing.T) {
	t.Helper()
	for _, path := range []string{n.a, n.b, n.d} {
		plugin.WaitTrash(t, path, 0, purges)
	}
}
