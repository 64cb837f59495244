package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
)

const mebibyte = 1 << 20

// operation is what meets a fault: a call of CSI, or the start of the program.
type operation struct {
	name string
	// prepare brings the pool to where the operation begins; the program runs.
	prepare func(t *testing.T, s *server)
	// call is the call. It is nil for a start.
	call func(t *testing.T, s *server) error
	// atomic says that after a crash and a start the call has happened or has
	// not, even before it is sent again.
	atomic bool
	// undoes says that a call that fails leaves nothing behind.
	undoes bool
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
		answers: ofCreate,
	},
	{
		name: "CreateVolume_over_remains",
		prepare: func(t *testing.T, s *server) {
			inside := filepath.Join(s.Base, "volumes", ".new-pvc-1", "data", "dir")
			if err := os.MkdirAll(inside, 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(s.Base, "volumes", ".new-pvc-1", "volume.json"), "{")
		},
		call:    createFirst,
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
		name: "DeleteVolume_and_purge",
		prepare: func(t *testing.T, s *server) {
			prepareFirst(t, s)
			fill(t, s.data("pvc-1"))
		},
		call:    deleteFirst,
		atomic:  true,
		answers: ofDelete,
	},
	{
		name:    "NodePublishVolume",
		prepare: prepareFirst,
		call:    publishFirst,
		undoes:  true,
		answers: ofNode,
	},
	{
		name:    "NodePublishVolume_again",
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
		answers: ofExpand,
	},
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
	resp, err := s.CreateVolume(s.ctx, &csi.CreateVolumeRequest{
		Name:               name,
		CapacityRange:      &csi.CapacityRange{RequiredBytes: mebibyte},
		VolumeCapabilities: []*csi.VolumeCapability{capability()},
		Parameters: map[string]string{
			"mode": "2770", "uid": "1000", "gid": "1001",
			"csi.storage.k8s.io/pvc/namespace": "of-" + name,
			"csi.storage.k8s.io/pvc/name":      "claim",
			"csi.storage.k8s.io/pv/name":       name,
		},
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

// starts are operations that the program does before it serves.
var starts = []operation{
	{
		name:    "first_start",
		prepare: nil,
	},
	{
		name: "start_on_remains",
		// A volume half built, one whose claim has no link, and the link of one
		// that is gone.
		prepare: func(t *testing.T, s *server) {
			s.run(t)
			prepareOther(t, s)
			prepareFirst(t, s)
			s.Signal(t, syscall.SIGKILL)
			volumes, claims := filepath.Join(s.Base, "volumes"), filepath.Join(s.Base, "claims")
			if err := errors.Join(
				os.Rename(filepath.Join(volumes, "pvc-1"), filepath.Join(volumes, ".new-pvc-1")),
				os.Rename(filepath.Join(claims, "of-pvc-other", "claim"), filepath.Join(claims, "of-pvc-other", ".new")),
			); err != nil {
				t.Fatal(err)
			}
		},
	},
}
