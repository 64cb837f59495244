package faults

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/admin"
)

const mebibyte = 1 << 20

// operation is what meets a fault: a call of CSI, or an order of an operator.
type operation struct {
	name string
	// prepare brings the pool to where the operation begins; the program runs.
	prepare func(t *testing.T, s *server)
	call    func(t *testing.T, s *server) error
	// atomic says that after a crash and a start the call has happened or has
	// not, even before it is sent again.
	atomic bool
	// undoes says that a call that fails leaves nothing behind.
	undoes bool
	// once says that the call finds nothing to do, and says so, after it has
	// happened. It is not sent again then.
	once func(s *server) bool
	// limits says that limits have to do with it.
	limits bool
	// answers are the codes of a call in which a system call failed.
	answers answers
}

// operations are tried on a pool with another volume, which is published. What
// is done to volume pvc-1 must not touch it.
var operations = []operation{
	{
		name:    "CreateVolume",
		prepare: func(*testing.T, *server) {},
		call:    createFirst,
		atomic:  true,
		undoes:  true,
		limits:  true,
		answers: ofCreate,
	},
	{
		name: "CreateVolume_anew",
		prepare: func(t *testing.T, s *server) {
			inside := filepath.Join(s.Base, "volumes", ".new-pvc-1", "data", "dir")
			if err := os.MkdirAll(inside, 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(s.Base, "volumes", ".new-pvc-1", "volume.json"), "{")
		},
		call:    createFirst,
		limits:  true,
		answers: ofCreate,
	},
	{
		name:    "CreateVolume_again",
		prepare: prepareFirst,
		call:    createFirst,
		atomic:  true,
		undoes:  true,
		answers: ofExisting,
	},
	{
		name: "DeleteVolume",
		prepare: func(t *testing.T, s *server) {
			prepareFirst(t, s)
			fill(t, s.data("pvc-1"))
		},
		call:    deleteFirst,
		atomic:  true,
		limits:  true,
		answers: ofDelete,
	},
	{
		name:    "DeleteVolume_kept",
		prepare: prepareKept,
		call:    deleteFirst,
		atomic:  true,
		answers: ofDelete,
	},
	{
		name:    "hostdir_undelete",
		prepare: prepareDeleted,
		call: func(t *testing.T, s *server) error {
			_, err := s.operator().Undelete(s.ctx, "pvc-1")
			return err
		},
		atomic: true,
		once: func(s *server) bool {
			_, err := os.Stat(s.data("pvc-1"))
			return err == nil
		},
		answers: ofOrder,
	},
	{
		name:    "hostdir_purge",
		prepare: prepareDeleted,
		call: func(t *testing.T, s *server) error {
			_, err := s.operator().Purge(s.ctx, "pvc-1")
			return err
		},
		once: func(s *server) bool {
			all, _ := filepath.Glob(filepath.Join(s.Base, "trash", "pvc-1.2*"))
			return len(all) == 0
		},
		answers: ofOrder,
	},
	{
		name:    "hostdir_import",
		prepare: prepareOld,
		call:    importFirst,
		limits:  true,
		answers: ofOrder,
	},
	{
		name: "hostdir_import_undo",
		prepare: func(t *testing.T, s *server) {
			prepareOld(t, s)
			if err := importFirst(t, s); err != nil {
				t.Fatal(err)
			}
		},
		call: func(t *testing.T, s *server) error {
			return s.importOrder(func() (admin.Import, error) { return s.operator().UndoImport(s.ctx, admin.ImportUndo{Volume: "pvc-1"}) })
		},
		answers: ofOrder,
	},
	{
		name:    "NodePublishVolume",
		prepare: prepareFirst,
		call:    publishFirst,
		undoes:  true,
		answers: ofNode,
	},
	{
		name:    "NodePublish_again",
		prepare: preparePublished,
		call:    publishFirst,
		undoes:  true,
		answers: ofNode,
	},
	{
		name:    "NodeUnpublishVolume",
		prepare: preparePublished,
		call:    unpublishFirst,
		answers: ofNode,
	},
	{
		name:    "NodeExpandVolume",
		prepare: preparePublished,
		call:    expandFirst,
		atomic:  true,
		limits:  true,
		answers: ofExpand,
	},
}

// prepareOld makes a directory that is to be imported.
func prepareOld(t *testing.T, s *server) {
	t.Helper()
	old := filepath.Join(s.old(), "www-0")
	if err := os.Mkdir(old, 0o750); err != nil {
		t.Fatal(err)
	}
	fill(t, old)
}

// importFirst imports that as volume pvc-1: by a rename, or where volumes have limits by
// a copy, for it is on another filesystem.
func importFirst(_ *testing.T, s *server) error {
	return s.importOrder(func() (admin.Import, error) {
		return s.operator().Import(s.ctx, admin.ImportOrder{
			Volume: "pvc-1", Source: filepath.Join(s.old(), "www-0"), CapacityBytes: mebibyte,
			Claim: admin.Claim{Namespace: "of-pvc-1", Name: "claim"}, PersistentVolume: "www-pv-0", Old: []byte(`{"kind":"PersistentVolume"}`),
		})
	})
}

// importOrder gives an order until it is carried out.
func (s *server) importOrder(give func() (admin.Import, error)) error {
	for {
		if i, err := give(); err != nil || i.Order == "" {
			return err
		}
	}
}

func createFirst(t *testing.T, s *server) error {
	id, err := s.create("pvc-1")
	if err == nil && id != s.volumeID(t, "pvc-1") {
		t.Errorf("the volume's ID is %s, want %s", id, s.volumeID(t, "pvc-1"))
	}
	return err
}

func deleteFirst(t *testing.T, s *server) error {
	_, err := s.DeleteVolume(s.ctx, &csi.DeleteVolumeRequest{VolumeId: s.volumeID(t, "pvc-1")})
	return err
}

func publishFirst(t *testing.T, s *server) error { return s.publish(t, "pvc-1") }

func unpublishFirst(t *testing.T, s *server) error {
	_, err := s.NodeUnpublishVolume(s.ctx, &csi.NodeUnpublishVolumeRequest{
		VolumeId: s.volumeID(t, "pvc-1"), TargetPath: s.target("pvc-1"),
	})
	return err
}

func expandFirst(t *testing.T, s *server) error {
	const size = 3 * mebibyte
	resp, err := s.NodeExpandVolume(s.ctx, &csi.NodeExpandVolumeRequest{
		VolumeId: s.volumeID(t, "pvc-1"), VolumePath: s.target("pvc-1"),
		CapacityRange: &csi.CapacityRange{RequiredBytes: size},
	})
	if err == nil && resp.GetCapacityBytes() != size {
		t.Errorf("the volume has %d bytes, want %d", resp.GetCapacityBytes(), size)
	}
	return err
}

// create makes a volume for a claim in a namespace of its own.
func (s *server) create(name string) (volumeID string, err error) {
	return s.createWith(name, nil)
}

func (s *server) createWith(name string, parameters map[string]string) (volumeID string, err error) {
	all := map[string]string{
		"mode": "2770", "uid": "1000", "gid": "1001",
		"csi.storage.k8s.io/pvc/namespace": "of-" + name,
		"csi.storage.k8s.io/pvc/name":      "claim",
		"csi.storage.k8s.io/pv/name":       name,
	}
	maps.Copy(all, parameters)
	resp, err := s.CreateVolume(s.ctx, &csi.CreateVolumeRequest{
		Name:               name,
		CapacityRange:      &csi.CapacityRange{RequiredBytes: mebibyte},
		VolumeCapabilities: []*csi.VolumeCapability{capability()},
		Parameters:         all,
	})
	return resp.GetVolume().GetVolumeId(), err
}

func (s *server) publish(t *testing.T, name string) error {
	_, err := s.NodePublishVolume(s.ctx, &csi.NodePublishVolumeRequest{
		VolumeId: s.volumeID(t, name), TargetPath: s.target(name), VolumeCapability: capability(),
	})
	return err
}

func capability() *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER},
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
	}
}

// prepareOther makes the other volume, and publishes it.
func prepareOther(t *testing.T, s *server) {
	t.Helper()
	_, err := s.create("pvc-other")
	if err := errors.Join(err, s.publish(t, "pvc-other")); err != nil {
		t.Fatal(err)
	}
	fill(t, s.target("pvc-other"))
}

func prepareFirst(t *testing.T, s *server) {
	t.Helper()
	if err := createFirst(t, s); err != nil {
		t.Fatal(err)
	}
}

// prepareKept makes a volume that stays in the trash once it is deleted.
func prepareKept(t *testing.T, s *server) {
	t.Helper()
	s.keeps = true
	if _, err := s.createWith("pvc-1", map[string]string{"trashTTL": "1h"}); err != nil {
		t.Fatal(err)
	}
	fill(t, s.data("pvc-1"))
}

func prepareDeleted(t *testing.T, s *server) {
	t.Helper()
	prepareKept(t, s)
	if err := deleteFirst(t, s); err != nil {
		t.Fatal(err)
	}
}

// operator is who asks the program through its other socket.
func (s *server) operator() *admin.Client {
	return &admin.Client{Socket: admin.SocketPath(s.Socket)}
}

func preparePublished(t *testing.T, s *server) {
	t.Helper()
	prepareFirst(t, s)
	if err := publishFirst(t, s); err != nil {
		t.Fatal(err)
	}
}

// fill puts into a volume what a tenant may.
func fill(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "dir", "file"), fmt.Sprint("of ", filepath.Base(filepath.Dir(dir))))
	if err := errors.Join(
		os.Symlink("/etc", filepath.Join(dir, "link")),
		unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
}
