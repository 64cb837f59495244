package inputs

import (
	"math"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/plugin"
)

func block() *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: plugin.SingleWriter},
		AccessType: &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}},
	}
}

func TestCreateRefuses(t *testing.T) {
	s := start(t)
	caps := func(c ...*csi.VolumeCapability) func(*csi.CreateVolumeRequest) {
		return func(r *csi.CreateVolumeRequest) { r.VolumeCapabilities = c }
	}
	size := func(required, limit int64) func(*csi.CreateVolumeRequest) {
		return func(r *csi.CreateVolumeRequest) {
			r.CapacityRange = &csi.CapacityRange{RequiredBytes: required, LimitBytes: limit}
		}
	}
	parameter := func(key, value string) func(*csi.CreateVolumeRequest) {
		return func(r *csi.CreateVolumeRequest) { r.Parameters = map[string]string{key: value} }
	}
	name := func(name string) func(*csi.CreateVolumeRequest) {
		return func(r *csi.CreateVolumeRequest) { r.Name = name }
	}
	claim := func(namespace, name string) func(*csi.CreateVolumeRequest) {
		return func(r *csi.CreateVolumeRequest) {
			r.Parameters = map[string]string{
				"csi.storage.k8s.io/pvc/namespace": namespace,
				"csi.storage.k8s.io/pvc/name":      name,
			}
		}
	}

	for _, test := range []struct {
		name   string
		change func(*csi.CreateVolumeRequest)
		want   codes.Code
		says   string
	}{
		{"no name", name(""), codes.InvalidArgument, "no name"},
		{"a name of 129 bytes", name(strings.Repeat("n", 129)), codes.InvalidArgument, "at most 128"},
		{"NUL in the name", name("pvc\x00"), codes.InvalidArgument, "control character U+0000"},
		{"escape in the name", name("pvc\x1b[2J"), codes.InvalidArgument, "control character U+001B"},
		{"delete in the name", name("pvc\x7f"), codes.InvalidArgument, "control character U+007F"},

		{"required above limit", size(2*mebibyte, mebibyte), codes.OutOfRange, "2097152 bytes are required"},
		{"500m, half a byte", size(1, 0), codes.InvalidArgument, "surely a slip: write storage: 500Mi"},
		{"a limit below the smallest volume", size(0, 4096), codes.OutOfRange, "no volume has less than 1Mi"},
		{"negative required size", size(-1, 0), codes.InvalidArgument, "negative"},
		{"negative limit", size(0, -1), codes.InvalidArgument, "negative"},
		{"the smallest number as size", size(math.MinInt64, 0), codes.InvalidArgument, "negative"},
		{"the largest number as size", size(math.MaxInt64, 0), codes.ResourceExhausted, "has room for"},
		{"the largest number as size and limit", size(math.MaxInt64, math.MaxInt64), codes.ResourceExhausted, "has room for"},

		{"no capabilities", caps(), codes.InvalidArgument, "no volume capability"},
		{"an empty capability", caps(&csi.VolumeCapability{}), codes.InvalidArgument, "no access type"},
		{"block volume", caps(block()), codes.InvalidArgument, "volumeMode: Filesystem"},
		{"block volume beside a directory", caps(plugin.Capability(plugin.SingleWriter), block()), codes.InvalidArgument, "volumeMode: Filesystem"},
		{"no access mode", caps(plugin.Capability(csi.VolumeCapability_AccessMode_UNKNOWN)), codes.InvalidArgument, "use ReadWriteOnce"},
		{"many readers on many nodes", caps(plugin.Capability(csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY)), codes.InvalidArgument, "use ReadWriteOnce"},
		{"one writer on many nodes", caps(plugin.Capability(csi.VolumeCapability_AccessMode_MULTI_NODE_SINGLE_WRITER)), codes.InvalidArgument, "use ReadWriteOnce"},
		{"many writers on many nodes", caps(plugin.Capability(csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER)), codes.InvalidArgument, "use ReadWriteOnce"},
		{"mount flag suid", caps(plugin.Capability(plugin.SingleWriter, "suid")), codes.InvalidArgument, `"suid"`},
		{"mount flag dev", caps(plugin.Capability(plugin.SingleWriter, "ro", "dev")), codes.InvalidArgument, `"dev"`},
		{"two mount flags in one", caps(plugin.Capability(plugin.SingleWriter, "ro,suid")), codes.InvalidArgument, `"ro,suid"`},

		{"topology of another node", func(r *csi.CreateVolumeRequest) {
			r.AccessibilityRequirements = &csi.TopologyRequirement{Requisite: []*csi.Topology{
				{Segments: map[string]string{"csi.hostdir.io/node": "another-node"}},
			}}
		}, codes.ResourceExhausted, "another-node"},
		{"topology of a zone", func(r *csi.CreateVolumeRequest) {
			r.AccessibilityRequirements = &csi.TopologyRequirement{Requisite: []*csi.Topology{
				{Segments: map[string]string{"topology.kubernetes.io/zone": "a"}},
			}}
		}, codes.ResourceExhausted, "topology.kubernetes.io/zone"},

		{"unknown parameter", parameter("quality", "best"), codes.InvalidArgument, "known are pool, mode, uid, gid, quota, trashTTL, inodes, reuse, onNodeLoss, className and csi.storage.k8s.io/fstype"},
		{"a parameter of another release", parameter("replicas", "2"), codes.InvalidArgument, `"replicas"`},
		{"a trash in days", parameter("trashTTL", "7d"), codes.InvalidArgument, `trashTTL="7d"`},
		{"a parameter in capitals", parameter("Pool", "default"), codes.InvalidArgument, `"Pool"`},
		{"pool /etc", parameter("pool", "/etc"), codes.InvalidArgument, "not a pool's name"},
		{"pool ..", parameter("pool", ".."), codes.InvalidArgument, "not a pool's name"},
		{"no pool's name", parameter("pool", ""), codes.InvalidArgument, "not a pool's name"},
		{"a pool that this node does not have", parameter("pool", "nvme"), codes.ResourceExhausted, `no pool "nvme"`},
		{"mode /etc", parameter("mode", "/etc"), codes.InvalidArgument, "octal"},
		{"mode with setuid", parameter("mode", "4755"), codes.InvalidArgument, "octal"},
		{"uid ..", parameter("uid", ".."), codes.InvalidArgument, "numeric"},
		{"uid root by name", parameter("uid", "root"), codes.InvalidArgument, "numeric"},
		{"gid that means unchanged", parameter("gid", "4294967295"), codes.InvalidArgument, "numeric"},

		{"claim named ..", claim("shop", ".."), codes.InvalidArgument, "not a claim's name"},
		{"claim that is a path", claim("shop", "../../../etc"), codes.InvalidArgument, "not a claim's name"},
		{"namespace that is a path", claim("../..", "www-web-0"), codes.InvalidArgument, "not a claim's name"},
		{"claim without a namespace", claim("", "www-web-0"), codes.InvalidArgument, "not a claim's name"},

		{"a snapshot as source", func(r *csi.CreateVolumeRequest) {
			r.VolumeContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
				Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: "../../etc"},
			}}
		}, codes.NotFound, "is the ID of no snapshot"},
		{"a volume as source that is none", func(r *csi.CreateVolumeRequest) {
			r.VolumeContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
				Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: "/etc"},
			}}
		}, codes.NotFound, "is the ID of no snapshot and no volume"},
		{"a source that names nothing", func(r *csi.CreateVolumeRequest) {
			r.VolumeContentSource = &csi.VolumeContentSource{}
		}, codes.InvalidArgument, "neither a snapshot nor a volume"},
		{"mutable parameters", func(r *csi.CreateVolumeRequest) {
			r.MutableParameters = map[string]string{"iops": "1000"}
		}, codes.InvalidArgument, "volumeAttributesClassName"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := snapshot(t, s.root)
			req := goodCreate("pvc-refused")
			test.change(req)
			_, err := s.CreateVolume(s.ctx, req)
			wantCode(t, err, test.want, test.says)
			wantSame(t, s.root, before)
		})
	}
}

func TestCreateAgainRefusesWhatDiffers(t *testing.T) {
	s := start(t)
	first := goodCreate("pvc-again")
	first.CapacityRange = &csi.CapacityRange{RequiredBytes: 2 * mebibyte}
	first.Parameters = map[string]string{"mode": "0750"}
	made, err := s.CreateVolume(s.ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, s.root)
	for _, test := range []struct {
		name       string
		size       *csi.CapacityRange
		parameters map[string]string
		want       codes.Code
		says       string
	}{
		{"the same", first.GetCapacityRange(), first.GetParameters(), codes.OK, ""},
		{"the same, with a limit that it keeps", &csi.CapacityRange{RequiredBytes: 4096, LimitBytes: 2 * mebibyte}, first.GetParameters(), codes.OK, ""},
		{"larger", &csi.CapacityRange{RequiredBytes: 3 * mebibyte}, first.GetParameters(), codes.AlreadyExists, "requested are at least 3145728"},
		{"smaller", &csi.CapacityRange{LimitBytes: 2*mebibyte - 1}, first.GetParameters(), codes.AlreadyExists, "requested are 0 to 2097151"},
		{"other parameters", first.GetCapacityRange(), map[string]string{"mode": "0700"}, codes.AlreadyExists, "it was made with the parameters"},
		{"no parameters", first.GetCapacityRange(), nil, codes.AlreadyExists, "it was made with the parameters"},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := goodCreate(first.GetName())
			req.CapacityRange, req.Parameters = test.size, test.parameters
			resp, err := s.CreateVolume(s.ctx, req)
			wantCode(t, err, test.want, test.says)
			if err == nil && resp.GetVolume().GetVolumeId() != made.GetVolume().GetVolumeId() {
				t.Errorf("volume %s, want the first one, %s", resp.GetVolume().GetVolumeId(), made.GetVolume().GetVolumeId())
			}
			wantSame(t, s.root, before)
		})
	}
}
