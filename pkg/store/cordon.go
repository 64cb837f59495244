package store

import (
	"context"
	"fmt"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/disk"
)

// A cordoned disk takes no new volumes, so that it runs empty. All else goes on:
// its volumes are used, grow and are deleted, and deleted ones can be brought back,
// since they have their place there already.

// cordonedBy returns why the disk at a path is cordoned, nil if it is not.
func cordonedBy(pool config.Pool, path string, since time.Time) error {
	if pattern := pool.CordonedBy(path); pattern != "" {
		return fmt.Errorf("it is cordoned, and takes no new volumes: the configuration names %s in `cordoned` of pool %q", pattern, pool.Name)
	}
	if !since.IsZero() {
		return fmt.Errorf("it is cordoned since %s, and takes no new volumes until `hostdir disks uncordon %s`", since.UTC().Format(time.RFC3339), path)
	}
	return nil
}

// cordoned returns why the disk takes no new volumes, nil if it does.
func (d *diskState) cordoned() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return cordonedBy(d.pool, d.path, d.cordonedSince)
}

// takesNew reports whether new volumes of a pool may go to the disk.
func (d *diskState) takesNew(pool string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pool.Name == pool && cordonedBy(d.pool, d.path, d.cordonedSince) == nil
}

func (d *diskState) setCordoned(since time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cordonedSince = since
}

// Cordon writes down on a disk that it takes no new volumes, or that it takes them
// again. It returns why the disk takes none afterwards, nil if it does.
func (s *Store) Cordon(ctx context.Context, path string, on bool) (cordoned, err error) {
	s.mu.RLock()
	x := s.slotAt(path)
	s.mu.RUnlock()
	if x == nil {
		return nil, notConfigured(path)
	}
	s.mu.RLock()
	d, unused := x.disk, x.err
	s.mu.RUnlock()
	if d == nil {
		return nil, fmt.Errorf("%w; `cordoned` in the configuration of its pool can name it meanwhile", unavailable(path, unused))
	}
	since := time.Time{}
	if on {
		since = time.Now().UTC().Truncate(time.Second)
	}
	_, err = run(ctx, d, change, "cordoning it", func() (struct{}, error) { return struct{}{}, d.cordon(x, since) })
	if err != nil {
		return nil, fmt.Errorf("%s: it could not be written down on the disk: %w; `cordoned` in the configuration of its pool works without that", path, err)
	}
	klog.FromContext(ctx).Info("an operator decides about new volumes", "path", path, "cordoned", on)
	return d.cordoned(), nil
}

// cordon lets no look at the path come between the marker and what is known of it.
func (d *diskState) cordon(x *slot, since time.Time) error {
	x.looking.Lock()
	defer x.looking.Unlock()
	o, err := d.open()
	if err != nil {
		return err
	}
	defer o.close()
	m, err := d.marker.Read(o.root)
	if err != nil {
		return err
	}
	if m, err = disk.Cordon(o.root, m, since); err != nil {
		return err
	}
	d.setCordoned(m.Cordoned)
	return nil
}
