package quota

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// project limits directories by project quotas: a directory is labelled with a
// project ID that all that is made in it inherits, and the project is limited.
// The kernel gives XFS and ext4 the same interface.
type project struct{ kind Kind }

func (p project) Kind() Kind { return p.kind }

func (p project) Create(parent *os.File, name string, requested ID) (ID, error) {
	if _, err := projectID(requested, Limit{}); err != nil {
		return 0, err
	}
	if err := checkProjects(parent); err != nil {
		return 0, err
	}
	return requested, mkdir(parent, name)
}

func (p project) Set(dir *os.File, id ID, limit Limit) error {
	project, err := projectID(id, limit)
	if err != nil {
		return err
	}
	// The soft limits are set as well: XFS ignores a hard limit that is below
	// the soft one. The limits come before the label, so that nothing is
	// written without them.
	q := diskQuota{valid: validLimits}
	q.hardBlocks = uint64((limit.Bytes + quotaBlock - 1) / quotaBlock)
	q.hardInodes = uint64(limit.Inodes)
	q.softBlocks, q.softInodes = q.hardBlocks, q.hardInodes
	if err := quotactl("set quota", dir, setQuota, project, &q); err != nil {
		return err
	}
	return label(dir, project)
}

// label makes all that is made in a directory from now on count for a project.
func label(dir *os.File, project uint32) error {
	var a attributes
	if err := ioctl("get project", dir, getAttributes, &a); err != nil {
		return err
	}
	if a.project == project && a.flags&inheritID != 0 {
		return nil
	}
	a.project = project
	a.flags |= inheritID
	return ioctl("set project", dir, setAttributes, &a)
}

func (p project) Get(dir *os.File, id ID) (Limit, Usage, error) {
	project, err := projectID(id, Limit{})
	if err != nil {
		return Limit{}, Usage{}, err
	}
	limit, usage, err := query(dir, project)
	if err != nil {
		return Limit{}, Usage{}, err
	}
	var a attributes
	if err := ioctl("get project", dir, getAttributes, &a); err != nil {
		return Limit{}, Usage{}, err
	}
	enforced, err := enforcesProjects(dir)
	if err != nil {
		return Limit{}, Usage{}, err
	}
	if a.project != project || a.flags&inheritID == 0 || !enforced {
		limit = Limit{}
	}
	return limit, usage, nil
}

func (p project) Used(fs *os.File, id ID) (bool, error) {
	project, err := projectID(id, Limit{})
	if err != nil {
		return false, err
	}
	limit, usage, err := query(fs, project)
	return limit != Limit{} || usage != Usage{}, err
}

// query returns zeros for a project that was never heard of.
func query(fs *os.File, project uint32) (Limit, Usage, error) {
	var q diskQuota
	err := quotactl("get quota", fs, getQuota, project, &q)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return Limit{}, Usage{}, err
	}
	return Limit{Bytes: int64(q.hardBlocks) * quotaBlock, Inodes: int64(q.hardInodes)},
		Usage{Bytes: int64(q.usedBytes), Inodes: int64(q.usedInodes)}, nil
}

func (p project) Remove(fs *os.File, id ID) error {
	project, err := projectID(id, Limit{})
	if err != nil {
		return err
	}
	return quotactl("remove quota", fs, setQuota, project, &diskQuota{valid: validLimits})
}

// projectID checks the arguments of a call. Project 0 is refused with all that
// is invalid: its limits are XFS's defaults for everybody. The highest number
// stands for no project (projid_t, kernel's INVALID_PROJID).
func projectID(id ID, limit Limit) (uint32, error) {
	if err := check(id, limit); err != nil {
		return 0, err
	}
	if id >= 1<<32-1 {
		return 0, fmt.Errorf("quota: %w: project ID %d is not in 1 to %d", errdefs.ErrInvalid, id, uint32(1<<32-2))
	}
	return uint32(id), nil
}

// enforcesProjects reports whether the filesystem holds projects to their limits.
// It returns ErrOff if it does not even count what they use.
func enforcesProjects(fs *os.File) (bool, error) {
	state := quotaState{version: 1}
	if err := quotactl("get state of quotas", fs, getState, 0, &state); err != nil {
		return false, err // ENOSYS also if quotas are off for users, groups and projects alike
	}
	if state.flags&stateCounted == 0 {
		return false, offAt(fs, off{why: "project quotas are off"})
	}
	return state.flags&stateEnforced != 0, nil
}

// checkProjects returns ErrOff unless project quotas are counted and enforced.
func checkProjects(fs *os.File) error {
	enforced, err := enforcesProjects(fs)
	if err == nil && !enforced {
		err = offAt(fs, off{"project quotas are counted, but not enforced", "unmount it and mount it with the option prjquota"})
	}
	return err
}

// tryProject finds out whether a directory can be labelled and is then counted.
func tryProject(dir *os.File, kind Kind) (Quota, error) {
	p := project{kind}
	err := p.try(dir)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EROFS) {
		return p, nil // no room to try, but the kernel has said enough
	}
	return p, err
}

const (
	// probeName begins as the names of half-built volumes do, so that what a
	// crash leaves is swept together with them.
	probeName = ".new-quota-probe"
	// firstProbeID is the project that is tried first. It is always the same
	// because XFS keeps some room for each project that ever was.
	firstProbeID = 1 << 30
)

// try counts an empty directory for a project that nobody uses, and limits
// nothing: no trace remains of it, nor of one that a crash cut short.
func (p project) try(parent *os.File) (err error) {
	if err := rmdir(parent, probeName); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	id := ID(firstProbeID)
	for ; ; id++ {
		used, err := p.Used(parent, id)
		if err != nil {
			return err
		}
		if !used {
			break
		}
	}
	if _, err := p.Create(parent, probeName, id); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rmdir(parent, probeName)) }()
	probe, err := openDir(parent, probeName)
	if err != nil {
		return err
	}
	defer probe.Close()
	if err := p.Set(probe, id, Limit{}); err != nil {
		return err
	}
	_, usage, err := p.Get(probe, id)
	if err == nil && usage.Inodes == 0 {
		err = fmt.Errorf("a directory of project %d is not counted", id)
	}
	return err
}
