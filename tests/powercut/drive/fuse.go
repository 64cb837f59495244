package drive

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// The part of FUSE's protocol (linux/fuse.h) that a single file takes which is
// never cached, created, renamed or removed: the file is the root of its
// filesystem.

const (
	opForget      = 2
	opGetattr     = 3
	opOpen        = 14
	opRead        = 15
	opWrite       = 16
	opStatfs      = 17
	opRelease     = 18
	opFsync       = 20
	opFlush       = 25 // close(2), not a drive's flush
	opInit        = 26
	opInterrupt   = 36
	opDestroy     = 38
	opBatchForget = 42
	opFallocate   = 43

	fuseMajor, fuseMinor = 7, 31
	flagMaxPages         = 1 << 22 // FUSE_MAX_PAGES
	flagBigWrites        = 1 << 5  // FUSE_BIG_WRITES
	openDirectIO         = 1 << 0  // FOPEN_DIRECT_IO

	maxPages = 256
	maxWrite = maxPages * 4096
)

type inHeader struct {
	Length, Opcode  uint32
	Unique, Node    uint64
	UID, GID, PID   uint32
	Extent, Padding uint16
}

type outHeader struct {
	Length uint32
	Error  int32
	Unique uint64
}

type initOut struct {
	Major, Minor, MaxReadahead, Flags uint32
	MaxBackground, Congestion         uint16
	MaxWrite, TimeGranularity         uint32
	MaxPages, MapAlignment            uint16
	_                                 [8]uint32
}

type attrOut struct {
	Valid              uint64
	ValidNanoseconds   uint32
	_                  uint32
	Inode, Size        uint64
	Blocks             uint64
	_                  [3]uint64 // times
	_                  [3]uint32
	Mode, Links        uint32
	_                  [3]uint32 // owner, device
	BlockSize, Padding uint32
}

type openOut struct {
	Handle         uint64
	Flags, Padding uint32
}

// transferIn begins requests to read and to write.
type transferIn struct {
	Handle, Offset uint64
	Size, Flags    uint32
	Owner          uint64
	OpenFlags, _   uint32
}

type writeOut struct{ Size, Padding uint32 }

type statfsOut struct {
	_               [5]uint64
	BlockSize       uint32
	NameLength      uint32
	FragmentSize, _ uint32
	_               [6]uint32
}

type fallocateIn struct {
	Handle, Offset, Length uint64
	Mode, Padding          uint32
}

const (
	inHeaderSize  = 40
	outHeaderSize = 16
	transferSize  = 40
)

// serve answers the kernel until the file is unmounted.
func (d *Drive) serve(fuse int) error {
	request := make([]byte, maxWrite+4096)
	for {
		n, err := unix.Read(fuse, request)
		switch {
		case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ECONNABORTED): // unmounted
			return nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOENT): // ENOENT: a request was interrupted
			continue
		case err != nil:
			return err
		}
		var header inHeader
		if _, err := binary.Decode(request[:n], binary.NativeEndian, &header); err != nil {
			return err
		}
		switch header.Opcode {
		case opForget, opBatchForget, opInterrupt: // no answer is expected
			continue
		}
		body, err := d.answer(header.Opcode, request[inHeaderSize:n])
		if err := reply(fuse, header.Unique, body, err); err != nil {
			return err
		}
	}
}

func reply(fuse int, unique uint64, body []byte, failure error) error {
	header := outHeader{Unique: unique}
	var errno unix.Errno
	if errors.As(failure, &errno) {
		header.Error = -int32(errno)
		body = nil
	}
	header.Length = uint32(outHeaderSize + len(body))
	message, err := binary.Append(make([]byte, 0, header.Length), binary.NativeEndian, header)
	if err != nil {
		return err
	}
	_, err = unix.Write(fuse, append(message, body...))
	if errors.Is(err, unix.ENOENT) { // the request was interrupted
		err = nil
	}
	return err
}

// answer does what a request asks and returns the body of the answer.
func (d *Drive) answer(opcode uint32, request []byte) ([]byte, error) {
	switch opcode {
	case opInit:
		return encode(initOut{
			Major: fuseMajor, Minor: fuseMinor,
			Flags:    flagMaxPages | flagBigWrites,
			MaxWrite: maxWrite, MaxPages: maxPages,
		})
	case opGetattr:
		return encode(attrOut{
			Valid: 1 << 30,
			Inode: 1, Size: uint64(d.size), Blocks: uint64(d.size / 512),
			Mode: unix.S_IFREG | 0o600, Links: 1, BlockSize: pageSize,
		})
	case opOpen:
		return encode(openOut{Flags: openDirectIO})
	case opStatfs:
		return encode(statfsOut{BlockSize: pageSize, FragmentSize: pageSize})
	case opRead:
		var in transferIn
		if _, err := binary.Decode(request, binary.NativeEndian, &in); err != nil {
			return nil, unix.EIO
		}
		return d.read(int64(in.Offset), int64(in.Size)), nil
	case opWrite:
		var in transferIn
		if _, err := binary.Decode(request, binary.NativeEndian, &in); err != nil {
			return nil, unix.EIO
		}
		if err := d.write(int64(in.Offset), request[transferSize:transferSize+in.Size]); err != nil {
			return nil, err
		}
		return encode(writeOut{Size: in.Size})
	case opFallocate: // what a loop device makes of discards and writes of zeros
		var in fallocateIn
		if _, err := binary.Decode(request, binary.NativeEndian, &in); err != nil {
			return nil, unix.EIO
		}
		if in.Mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) == 0 {
			return nil, unix.EOPNOTSUPP
		}
		return nil, d.zero(int64(in.Offset), int64(in.Length))
	case opFsync:
		d.flush()
		return nil, nil
	case opFlush, opRelease, opDestroy:
		return nil, nil
	default:
		return nil, unix.ENOSYS
	}
}

func encode(body any) ([]byte, error) {
	data, err := binary.Append(nil, binary.NativeEndian, body)
	if err != nil {
		return nil, unix.EIO
	}
	return data, nil
}
