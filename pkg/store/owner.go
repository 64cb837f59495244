package store

import (
	"context"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
)

// owner is what this hostdir signs its disks with. The caller holds deciding.
func (s *Store) owner() disk.Owner {
	return disk.Owner{Node: s.node, Instance: s.history.Instance()}
}

func (s *Store) ownerLocked() disk.Owner {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	return s.owner()
}

// own signs a disk that is about to be taken into use, before anything else is
// changed on it, and returns the sign. That a disk cannot be written to keeps nobody
// from using what is on it.
func (s *Store) own(ctx context.Context, x *slot, root *dir.Dir, seen disk.Sign) (disk.Sign, error) {
	used, err := s.ownerLocked().Own(root, seen)
	if !used {
		return disk.Sign{}, err
	}
	if err != nil {
		klog.FromContext(ctx).Info("the disk cannot be signed: another hostdir would not notice that it is in use", "path", x.path, "reason", err.Error())
	}
	return disk.ReadSign(root)
}

// show lets other hostdirs see that a disk is in use. On one that is full or
// read-only it cannot.
func (s *Store) show(ctx context.Context, d *diskState) {
	owner := s.ownerLocked()
	defer d.calls.begin("showing that it is in use", callPatience)()
	o, err := d.open()
	if err == nil {
		defer o.close()
		err = owner.Show(o.root)
	}
	if err != nil {
		klog.FromContext(ctx).V(4).Info("the disk cannot be signed", "path", d.path, "reason", err.Error())
	}
}

// Release lets go of the disks in use, once no call is at work on them: whoever wants
// one then need not wait until this hostdir is surely gone. It does not wait for a
// disk that does not answer.
func (s *Store) Release() {
	owner := s.ownerLocked()
	disks := s.inUse()
	done := make(chan struct{}, len(disks))
	for _, d := range disks {
		go func() {
			defer func() { done <- struct{}{} }()
			if !d.calls.idle() {
				return
			}
			if o, err := d.open(); err == nil {
				_ = owner.Release(o.root)
				o.close()
			}
		}()
	}
	patience := time.After(endPatience)
	for range disks {
		select {
		case <-done:
		case <-patience:
			return
		}
	}
}
