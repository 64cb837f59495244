package faultmatrix

import (
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestReadOnly has a disk that becomes read-only, as ext4 does after an error, and
// writable again.
func TestReadOnly(t *testing.T) {
	plugin.RequireRoot(t)
	base := disk.Mount(t, "ext4", 64*mebibyte)
	s := start(t, base)
	id := s.create(t, "pvc-1")
	write(t, filepath.Join(s.VolumeDir(id), "data", "precious"), "written before")
	run(t, "mount", "-o", "remount,ro", base)
	before := tree(t, base)

	_, err := s.Create(s.ctx, "pvc-2", mebibyte)
	plugin.WantCode(t, "create", err, codes.ResourceExhausted)
	if err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("the error does not say that the disk is read-only: %v", err)
	}
	s.waitCapacity(t, "a read-only disk offers room", func(bytes int64) bool { return bytes == 0 })
	_, err = s.Create(s.ctx, "pvc-2", mebibyte) // which is known before it is tried, by now
	plugin.WantCode(t, "create", err, codes.ResourceExhausted)
	if err == nil || !strings.Contains(err.Error(), base+" is read-only") {
		t.Errorf("the error does not name the disk that is read-only: %v", err)
	}
	target := s.target("target")
	plugin.WantCode(t, "publish", s.Publish(s.ctx, id, target), codes.OK)
	wantContent(t, filepath.Join(target, "precious"), "written before")
	plugin.WantCode(t, "unpublish", s.Unpublish(s.ctx, id, target), codes.OK)
	if err := s.Delete(s.ctx, id); err == nil {
		t.Error("a volume of a read-only disk is called deleted")
	}
	if err := s.Expand(s.ctx, id, target, 2*mebibyte); err == nil {
		t.Error("a volume of a read-only disk is called expanded")
	}
	wantTree(t, base, before)
	if !s.listed(t)[id] {
		t.Error("the volume is not listed")
	}

	run(t, "mount", "-o", "remount,rw", base)
	s.waitCapacity(t, "a disk that is writable again offers no room", func(bytes int64) bool { return bytes > 0 })
	if again := s.create(t, "pvc-1"); again != id {
		t.Errorf("the volume is %s now, it was %s", again, id)
	}
	plugin.WantCode(t, "expand", s.Expand(s.ctx, id, target, 2*mebibyte), codes.OK)
	plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.OK)
	plugin.WantCode(t, "delete", s.Delete(s.ctx, s.create(t, "pvc-2")), codes.OK)
	s.waitPurged(t)
}
