package quota_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/quota"
)

// The tests of this file hold what the documentation says of tenants who mean
// to escape their limits: what they can do, and what stops them.

func TestMain(m *testing.M) {
	if attempt := os.Getenv("HOSTDIR_TENANT"); attempt != "" {
		tenant(attempt)
		return
	}
	os.Exit(m.Run())
}

// Attempts of a tenant.
const (
	// relabel takes a file out of its project.
	relabel = "relabel"
	// disinherit has what is made in the volume belong to no project.
	disinherit = "disinherit"
	// nest writes to a subvolume in the volume.
	nest = "nest"
	// nestOutside is nest that asks for no qgroup above the new one.
	nestOutside = "nest outside"
)

// namespace says where a tenant's processes run.
type namespace bool

const (
	hostUsers namespace = false // as in a pod by default
	ownUsers  namespace = true  // as in a pod with hostUsers: false
)

func TestTenantsOnXFS(t *testing.T)  { projectTenants(t, projects(t, quota.XFS, "HOSTDIR_VM_XFS")) }
func TestTenantsOnExt4(t *testing.T) { projectTenants(t, projects(t, quota.Ext4, "HOSTDIR_VM_EXT4")) }

func projectTenants(t *testing.T, dir string) {
	for _, attempt := range []string{relabel, disinherit} {
		wantEscape(t, dir, attempt, hostUsers, true)
		wantEscape(t, dir, attempt, ownUsers, false)
	}
}

func TestTenantsOnBtrfs(t *testing.T) {
	dir := btrfs(t, enableFull)
	wantEscape(t, dir, nest, hostUsers, true)
	wantEscape(t, dir, nest, ownUsers, true)
}

func TestTenantsOnBtrfsSimple(t *testing.T) {
	dir := btrfs(t, enableSimple)
	wantEscape(t, dir, nest, hostUsers, false)
	wantEscape(t, dir, nestOutside, hostUsers, true)
	wantEscape(t, dir, nestOutside, ownUsers, true)
}

// wantEscape has a tenant write twice its limit after an attempt to escape it.
func wantEscape(t *testing.T, dir, attempt string, in namespace, want bool) {
	t.Run(fmt.Sprintf("%s, hostUsers %t", attempt, !in), func(t *testing.T) {
		_, volume, _ := limited(t, dir, "tenant", 700)
		const user = 100_000
		if err := volume.Chown(user, user); err != nil {
			t.Fatal(err)
		}
		// By this name an ordinary user may run it, wherever it lies.
		cmd := exec.Command("/proc/self/exe")
		cmd.Dir = "/"
		cmd.Env = append(os.Environ(), "HOSTDIR_TENANT="+attempt)
		cmd.ExtraFiles = []*os.File{volume}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		if in == ownUsers {
			ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: user, Size: 65536}}
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  unix.CLONE_NEWUSER,
				UidMappings: ids, GidMappings: ids,
				Credential: &syscall.Credential{},
			}
		}
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
		said := strings.TrimSpace(out.String())
		t.Log(said)
		if got := strings.HasSuffix(said, "<nil>"); got != want {
			t.Errorf("the tenant escaped: %t, want %t", got, want)
		}
	})
}

// tenant tries to escape the limit of the volume that it is given, and says how
// much it could write.
func tenant(attempt string) {
	volume := os.NewFile(3, "/volume")
	err := escape(volume, attempt)
	fmt.Printf("%s: %v, ", attempt, err)
	in := volume
	if nested, err := os.Open("/proc/self/fd/3/nested"); err == nil {
		in = nested
	}
	fd, err := unix.Openat(int(in.Fd()), "file", unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND, 0o600)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := os.NewFile(uintptr(fd), "file")
	written, err := f.Write(make([]byte, 16<<20))
	fmt.Printf("%d bytes written: %v\n", written, errors.Join(err, f.Sync()))
}

func escape(volume *os.File, attempt string) error {
	switch attempt {
	case relabel:
		fd, err := unix.Openat(int(volume.Fd()), "file", unix.O_CREAT|unix.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), "file")
		defer f.Close()
		var attributes struct { // struct fsxattr
			flags, _, _, project, _ uint32
			_                       [8]byte
		}
		return ioctl(f, 0x401c5820 /* FS_IOC_FSSETXATTR */, unsafe.Pointer(&attributes))
	case disinherit:
		flags, err := unix.IoctlGetUint32(int(volume.Fd()), unix.FS_IOC_GETFLAGS)
		if err != nil {
			return err
		}
		flags &^= 0x20000000 // FS_PROJINHERIT_FL
		return ioctl(volume, unix.FS_IOC_SETFLAGS, unsafe.Pointer(&flags))
	case nest:
		var args struct { // struct btrfs_ioctl_vol_args
			_    int64
			name [4088]byte
		}
		copy(args.name[:], "nested")
		return ioctl(volume, 0x5000940e /* BTRFS_IOC_SUBVOL_CREATE */, unsafe.Pointer(&args))
	case nestOutside:
		var groups struct { // struct btrfs_qgroup_inherit, of no groups
			flags, groups, refs, exclusive uint64
			limit                          [5]uint64
		}
		args := struct { // struct btrfs_ioctl_vol_args_v2
			_, _, flags, size uint64
			inherit           unsafe.Pointer
			_                 [2]uint64
			name              [4040]byte
		}{flags: 1 << 2 /* BTRFS_SUBVOL_QGROUP_INHERIT */, size: uint64(unsafe.Sizeof(groups)), inherit: unsafe.Pointer(&groups)}
		copy(args.name[:], "nested")
		return ioctl(volume, 0x50009418 /* BTRFS_IOC_SUBVOL_CREATE_V2 */, unsafe.Pointer(&args))
	}
	return errors.ErrUnsupported
}

func ioctl(f *os.File, request uintptr, args unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(args)); errno != 0 {
		return os.NewSyscallError("ioctl", errno)
	}
	return nil
}
