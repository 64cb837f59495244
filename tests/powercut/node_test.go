package powercut

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/tests/plugin"
	"github.com/hostdir/hostdir/tests/powercut/drive"
)

// node is a plugin at work on a drive, and what it has acknowledged.
type node struct {
	*plugin.Plugin
	drive *drive.Drive
	// limited reports that the filesystem counts what its volumes hold.
	limited bool

	mu      sync.Mutex // guards all below
	clients clients
	history history
}

// clients are of one run of the program.
type clients struct {
	csi.ControllerClient
	csi.NodeClient
}

// targets is the directory below kubelet's in which volumes are published.
const targets = "targets"

// layOut puts a node's disk on a drive with this content, until the test ends.
func layOut(t *testing.T, filesystem filesystem, content *drive.Image) *node {
	t.Helper()
	d := drive.Start(t, content, filesystem.sector)
	base := filepath.Join(t.TempDir(), "pool")
	if err := os.Mkdir(base, 0o755); err != nil {
		t.Fatal(err)
	}
	filesystem.mount(t, d.Path, base)
	n := layOutAt(t, base)
	n.drive, n.limited = d, filesystem.limited
	return n
}

// layOutAt puts a node's disk at base. Without a drive, no positions are noted.
func layOutAt(t *testing.T, base string) *node {
	t.Helper()
	n := &node{Plugin: plugin.Layout(t, base)}
	if err := os.Mkdir(filepath.Join(n.KubeletDir, targets), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.unmountTargets(t) })
	return n
}

// run starts the program.
func (n *node) run(t *testing.T) {
	t.Helper()
	if n.limited {
		// btrfs may lose count when subvolumes go, and a program that starts then
		// limits nothing.
		run(t, "btrfs", "subvolume", "sync", n.Base)
		run(t, "btrfs", "quota", "rescan", "-w", n.Base)
	}
	n.Run(t)
	for { // the operator's socket may come later than the one for CSI
		_, err := n.operator().Disks(t.Context())
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "does not answer") {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clients = clients{csi.NewControllerClient(n.Conn), csi.NewNodeClient(n.Conn)}
}

func (n *node) unmountTargets(t *testing.T) {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(n.KubeletDir))
	if err != nil {
		t.Error(err)
	}
	for _, m := range mounts {
		if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			t.Errorf("unmount %s: %v", m.Mountpoint, err)
		}
	}
}

// do asks for something, and notes what the drive was told before and after.
func (n *node) do(c call) error {
	n.mu.Lock()
	clients, at := n.clients, len(n.history.calls)
	c.start, c.end = n.position(), never
	n.history.calls = append(n.history.calls, c)
	n.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	switch c.kind {
	case create:
		err = n.create(ctx, clients, c)
	case expand:
		err = n.expand(ctx, clients, c)
	case save:
		err = n.save(ctx, clients, c)
	case remove:
		_, err = clients.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: n.id(c.name)})
	case undelete:
		err = n.undelete(ctx, c.name)
	case snapshot:
		err = n.snapshot(ctx, clients, c)
	case restore:
		err = n.create(ctx, clients, c)
	case forget:
		_, err = clients.DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{SnapshotId: n.snapshotID(c.name)})
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.history.calls[at].end = n.position()
	return nil
}

// position is how much the drive was told.
func (n *node) position() int {
	if n.drive == nil {
		return 0
	}
	return n.drive.Position()
}

// id is the ID of a volume that was acknowledged once.
func (n *node) id(name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.history.pool + "." + name
}

func (n *node) snapshotID(name string) string { return n.id("snapshots." + name) }

// operator is who runs the commands of hostdir.
func (n *node) operator() *admin.Client { return &admin.Client{Socket: admin.SocketPath(n.Socket)} }

// undelete brings a volume back. One of the same name that was not kept may be in the
// trash as well, if the power was cut before its removal had begun.
func (n *node) undelete(ctx context.Context, name string) error {
	_, err := n.operator().Undelete(ctx, name)
	if err == nil || !strings.Contains(err.Error(), "deleted volumes; name the entry") {
		return err
	}
	trash, err := n.operator().Trash(ctx)
	if err != nil {
		return err
	}
	for _, v := range trash.Volumes {
		if v.Name == name && v.PurgeAt != nil && v.PurgeAt.After(time.Now()) {
			_, err := n.operator().Undelete(ctx, v.Entry)
			return err
		}
	}
	return fmt.Errorf("none of the deleted volumes %s is kept: %+v", name, trash)
}

// isBack reports that a volume was not brought back because it is back: another
// order did that, though nobody was told.
func isBack(c call, err error) bool {
	return c.kind == undelete && strings.Contains(err.Error(), "no deleted volume")
}

// capability is what all volumes of these tests are for.
var capability = &csi.VolumeCapability{
	AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
	AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
}

// snapshot asks for a snapshot until it is ready.
func (n *node) snapshot(ctx context.Context, clients clients, c call) error {
	for {
		made, err := clients.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: c.name, SourceVolumeId: n.id(c.source)})
		if err != nil || made.GetSnapshot().GetReadyToUse() {
			return err
		}
	}
}

// create makes a volume, as a copy of a snapshot if the call has a source.
func (n *node) create(ctx context.Context, clients clients, c call) error {
	var source *csi.VolumeContentSource
	if c.source != "" {
		source = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
			Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: n.snapshotID(c.source)},
		}}
	}
	parameters := map[string]string{
		"mode":                             c.class.Mode,
		"uid":                              strconv.Itoa(int(c.class.UID)),
		"gid":                              strconv.Itoa(int(c.class.GID)),
		"csi.storage.k8s.io/pvc/namespace": c.claim.Namespace,
		"csi.storage.k8s.io/pvc/name":      c.claim.Name,
	}
	if c.class.TrashTTL != "" {
		parameters["trashTTL"] = c.class.TrashTTL
	}
	resp, err := clients.CreateVolume(ctx, &csi.CreateVolumeRequest{
		Name:               c.name,
		CapacityRange:      &csi.CapacityRange{RequiredBytes: c.capacity},
		VolumeCapabilities: []*csi.VolumeCapability{capability},
		Parameters:         parameters,

		VolumeContentSource: source,
	})
	if status.Code(err) == codes.Aborted { // it is being copied
		return n.create(ctx, clients, c)
	}
	if err != nil {
		return err
	}
	id := resp.GetVolume().GetVolumeId()
	pool, found := strings.CutSuffix(id, "."+c.name)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.history.pool == "" {
		n.history.pool, n.history.served = pool, n.position()
	}
	if !found || pool != n.history.pool {
		return fmt.Errorf("the volume's ID is %q, the pool was %s", id, n.history.pool)
	}
	return nil
}

func (n *node) expand(ctx context.Context, clients clients, c call) error {
	resp, err := clients.NodeExpandVolume(ctx, &csi.NodeExpandVolumeRequest{
		VolumeId:      n.id(c.name),
		VolumePath:    n.target(c.name),
		CapacityRange: &csi.CapacityRange{RequiredBytes: c.capacity},
	})
	if err == nil && resp.GetCapacityBytes() < c.capacity {
		err = fmt.Errorf("the capacity is %d bytes, not %d", resp.GetCapacityBytes(), c.capacity)
	}
	return err
}

// target is where a volume is published.
func (n *node) target(name string) string { return filepath.Join(n.KubeletDir, targets, name) }

// publish mounts a volume while do works with it.
func (n *node) publish(ctx context.Context, clients clients, id, name string, do func(dir string) error) error {
	_, err := clients.NodePublishVolume(ctx, &csi.NodePublishVolumeRequest{
		VolumeId:         id,
		TargetPath:       n.target(name),
		VolumeCapability: capability,
	})
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if err := do(n.target(name)); err != nil {
		return err
	}
	for {
		_, err = clients.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: id, TargetPath: n.target(name)})
		switch status.Code(err) {
		case codes.OK:
			return nil
		case codes.Aborted: // a process that is just being started holds the file that do had open
			time.Sleep(10 * time.Millisecond)
		default:
			return fmt.Errorf("unpublish: %w", err)
		}
	}
}

// save does what a database in a pod does.
func (n *node) save(ctx context.Context, clients clients, c call) error {
	return n.publish(ctx, clients, n.id(c.name), c.name, func(dir string) error {
		f, err := os.Create(filepath.Join(dir, c.file))
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteString(c.content); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		return syncDir(dir)
	})
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// remembered is what the node remembers of its disks, outside of them.
func (n *node) remembered(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(n.memory())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// remember makes a node that has not run yet the one that remembers this.
func (n *node) remember(t *testing.T, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(n.memory()), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.memory(), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (n *node) memory() string { return filepath.Join(filepath.Dir(n.Socket), "disks.json") }
