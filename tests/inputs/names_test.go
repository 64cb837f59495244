package inputs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// plainName is what volumes' directories may be called, whatever the volumes
// are called.
var plainName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func TestNamesAreMadeHarmless(t *testing.T) {
	s := start(t)
	empty := snapshot(t, s.root)
	directories := map[string]string{} // name by directory
	for _, test := range []struct{ name, volume string }{
		{"a path upwards", "../../etc"},
		{"two dots", ".."},
		{"one dot", "."},
		{"an absolute path", "/etc/passwd"},
		{"a slash", "shop/www"},
		{"a trailing slash", "www/"},
		{"a newline", "www\nweb"},
		{"a tab", "www\tweb"},
		{"an emoji", "www-🐘"},
		{"capitals", "WWW"},
		{"the right-to-left override", "www\u202egpj"},
		{"a directory that is being built", ".new-pvc-1"},
		{"the record", "volume.json"},
		{"the marker", "disk.json"},
		{"the trash", "trash"},
		{"a hashed name", "sha256-" + strings.Repeat("0", 40)},
		{"spaces", "   "},
		{"128 bytes", strings.Repeat("n", 128)},
	} {
		t.Run(test.name, func(t *testing.T) {
			id := s.create(t, test.volume)
			if again := s.create(t, test.volume); again != id {
				t.Errorf("created again it is %s, want %s", again, id)
			}
			directory := filepath.Base(s.VolumeDir(id))
			if !plainName.MatchString(directory) {
				t.Errorf("the volume's directory is called %q", directory)
			}
			if other, taken := directories[directory]; taken {
				t.Errorf("directory %s is that of %q already", directory, other)
			}
			directories[directory] = test.volume
			if _, err := os.Stat(filepath.Join(s.Base, "volumes", directory, "data")); err != nil {
				t.Error(err)
			}
			wantCode(t, s.delete(id), codes.OK, "")
			s.waitPurged(t)
			wantSame(t, s.root, empty)
		})
	}
}

// rawCodec sends bytes as they are: what Go would refuse to encode, another
// client may send.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

func (rawCodec) Unmarshal([]byte, any) error { return errors.New("no answer was expected") }

func TestInvalidUTF8(t *testing.T) {
	s := start(t)
	s.create(t, "pvc-neighbour")
	before := snapshot(t, s.root)
	message, err := proto.Marshal(goodCreate("PLACEHOLDER"))
	if err != nil {
		t.Fatal(err)
	}
	message = bytes.Replace(message, []byte("PLACE"), []byte("\xff\xfe\xc0\xaf\x80"), 1)
	err = s.Conn.Invoke(s.ctx, csi.Controller_CreateVolume_FullMethodName, message, nil, grpc.ForceCodec(rawCodec{}))
	wantCode(t, err, codes.Internal, "invalid UTF-8")
	wantSame(t, s.root, before)
	s.create(t, "pvc-after")
}
