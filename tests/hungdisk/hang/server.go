package hang

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// serveEnv holds, for a process that is to serve a disk, what it serves.
const serveEnv = "HOSTDIR_TEST_HANG"

// served is a mount and the directory that it shows, or none if it is not to
// answer at all.
type served struct{ Mount, Backing string }

// reply answers a setting.
type reply struct{ Requests int }

// Main holds a mount and does not return, if that is what the process was started
// for. Tests that use this package call it first in TestMain.
func Main() {
	what := os.Getenv(serveEnv)
	if what == "" {
		return
	}
	signal.Ignore(os.Interrupt) // the test gets it too, and ends this process
	var s served
	err := json.Unmarshal([]byte(what), &s)
	if err == nil {
		err = s.serve()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "serve a disk:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve mounts, and serves until standard input, through which the settings come,
// is closed: the test has had enough, or is no more.
func (s served) serve() error {
	device, err := mountFUSE(s.Mount)
	if err != nil {
		return err
	}
	g := newGate()
	if s.Backing != "" {
		root, err := fs.NewLoopbackRoot(s.Backing)
		if err != nil {
			return errors.Join(err, unmount(s.Mount))
		}
		unix.Umask(0) // the kernel has applied the caller's
		go serveRequests(device, root, g)
	}
	settings, replies := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var next setting
		err := settings.Decode(&next)
		if err == nil {
			err = replies.Encode(reply{g.set(next)})
		}
		if errors.Is(err, io.EOF) {
			return unmount(s.Mount)
		}
		if err != nil {
			return errors.Join(err, unmount(s.Mount))
		}
	}
}

// mountFUSE mounts a filesystem that this process is to serve.
func mountFUSE(path string) (device int, err error) {
	device, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("/dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=%o,user_id=0,group_id=0,allow_other,default_permissions", device, unix.S_IFDIR|0o755)
	if err := unix.Mount("hang", path, "fuse", 0, options); err != nil {
		return -1, fmt.Errorf("mount %s: %w", path, err)
	}
	return device, nil
}

func unmount(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	return nil
}

const (
	// maxTransfer bounds what one request reads or writes, and headroom what
	// comes with it.
	maxTransfer = 128 << 10
	headroom    = 8 << 10
)

// Opcodes of fuse(4).
const (
	opForget      = 2
	opRelease     = 18
	opInit        = 26
	opReleasedir  = 29
	opInterrupt   = 36
	opDestroy     = 38
	opBatchForget = 42
)

// serveRequests serves a mount until it is gone. Nothing is cached by the kernel:
// with time-outs of 0, which are the default, each call asks here.
func serveRequests(device int, root fs.InodeEmbedder, g *gate) {
	server := fuse.NewProtocolServer(fs.NewNodeFS(root, &fs.Options{}), &fuse.MountOptions{
		MaxWrite:             maxTransfer,
		DisabledCapabilities: fuse.CAP_PASSTHROUGH,
	})
	type buffer [maxTransfer + headroom]byte
	buffers := sync.Pool{New: func() any { return new(buffer) }}
	incoming := new(buffer)[:]
	for {
		n, err := unix.Read(device, incoming)
		switch err {
		case nil:
		case unix.EINTR, unix.EAGAIN, unix.ENOENT: // ENOENT: the caller is gone
			continue
		default: // unmounted
			return
		}
		request := slices.Clone(incoming[:n])
		header := *(*fuse.InHeader)(unsafe.Pointer(&request[0]))
		answer := func() {
			out := buffers.Get().(*buffer)
			defer buffers.Put(out)
			// An error of the write says that nobody waits for the answer.
			if n, _ := server.HandleRequest([][]byte{request}, [][]byte{out[:]}); n > 0 {
				unix.Write(device, out[:n])
			}
		}
		switch header.Opcode {
		case opInterrupt: // of no consequence: see isKilled
		case opInit:
			answer()
		case opForget, opBatchForget, opRelease, opReleasedir, opDestroy: // nobody waits for these
			go answer()
		default:
			go func() {
				if g.pass(header.Pid) {
					refuse(device, header.Unique, unix.EINTR)
					return
				}
				answer()
			}()
		}
	}
}

// refuse answers a request with an error.
func refuse(device int, unique uint64, errno unix.Errno) {
	out := fuse.OutHeader{Length: uint32(unsafe.Sizeof(fuse.OutHeader{})), Status: -int32(errno), Unique: unique}
	unix.Write(device, unsafe.Slice((*byte)(unsafe.Pointer(&out)), out.Length))
}
