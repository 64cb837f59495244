package driver

import (
	"slices"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostdir/hostdir/pkg/mounter"
	"github.com/hostdir/hostdir/pkg/store"
)

// A volume is one directory on one node: pods of that node can share it, other
// nodes cannot reach it.
var accessModes = []csi.VolumeCapability_AccessMode_Mode{
	csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER,
	csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY,
	csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER,
	csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER,
}

// checkCapabilities returns ErrInvalid for what hostdir's volumes cannot be, in
// the words that Kubernetes uses for it.
func checkCapabilities(caps []*csi.VolumeCapability) error {
	if len(caps) == 0 {
		return invalid("the request has no volume capability")
	}
	for _, c := range caps {
		if err := checkCapability(c); err != nil {
			return err
		}
	}
	return nil
}

func checkCapability(c *csi.VolumeCapability) error {
	switch {
	case c == nil:
		return invalid("the request has no volume capability")
	case c.GetBlock() != nil:
		return invalid("hostdir has no block volumes (volumeMode: Block), only directories (volumeMode: Filesystem)")
	case c.GetMount() == nil:
		return invalid("the volume capability has no access type")
	case !slices.Contains(accessModes, c.GetAccessMode().GetMode()):
		return invalid("access mode %s is not supported: a hostdir volume lives on one node, use ReadWriteOnce or ReadWriteOncePod", modeName(c.GetAccessMode().GetMode()))
	}
	return mounter.CheckOptions(c.GetMount().GetMountFlags())
}

// modeName returns what people call an access mode that is refused: its name in
// claims, where it has one.
func modeName(mode csi.VolumeCapability_AccessMode_Mode) string {
	switch mode {
	case csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER:
		return "ReadWriteMany"
	case csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY:
		return "ReadOnlyMany"
	default:
		return mode.String()
	}
}

// publication returns how to mount a volume of this capability.
func publication(targetPath string, c *csi.VolumeCapability, readOnly bool) mounter.PublishOptions {
	mode := c.GetAccessMode().GetMode()
	options := slices.Clone(c.GetMount().GetMountFlags())
	if (readOnly || mode == csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY) && !slices.Contains(options, "ro") {
		options = append(options, "ro")
	}
	return mounter.PublishOptions{
		TargetPath: targetPath,
		Options:    options,
		Exclusive:  mode == csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER,
	}
}

// mountOptions are those that the class asks for: every capability of a request
// has them.
func mountOptions(caps []*csi.VolumeCapability) []string {
	return slices.Clone(caps[0].GetMount().GetMountFlags())
}

// claimModes are the access modes of the claim for which csi-provisioner asks for
// these capabilities: one for each mode.
func claimModes(caps []*csi.VolumeCapability) (modes []string) {
	for _, c := range caps {
		mode := "ReadWriteOnce"
		switch c.GetAccessMode().GetMode() {
		case csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER:
			mode = "ReadWriteOncePod"
		case csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY: // no claim asks for it
			continue
		}
		if !slices.Contains(modes, mode) {
			modes = append(modes, mode)
		}
	}
	return modes
}

// filesystemType returns the type of filesystem that a request asks for, "" if it
// asks for none. A volume has one: two of them are ErrInvalid.
func filesystemType(parameters map[string]string, caps ...*csi.VolumeCapability) (string, error) {
	// csi-provisioner moves it to the capabilities.
	want := parameters[metadataPrefix+"fstype"]
	for _, c := range caps {
		switch each := c.GetMount().GetFsType(); {
		case each == "" || each == want:
		case want == "":
			want = each
		default:
			return "", invalid("the filesystem types %q and %q are asked for, and a volume is on one", want, each)
		}
	}
	return want, nil
}

// checkFilesystem returns ErrInvalid if another type of filesystem is asked for than
// the one that the volume is on.
func (d *Driver) checkFilesystem(volumeID string, parameters map[string]string, caps ...*csi.VolumeCapability) error {
	want, err := filesystemType(parameters, caps...)
	if err != nil || want == "" {
		return err
	}
	has, err := d.Store.Filesystem(volumeID)
	if err != nil {
		return err
	}
	return store.CheckFilesystem(want, has)
}

// metadataPrefix marks parameters that Kubernetes adds to those of the class.
const metadataPrefix = "csi.storage.k8s.io/"

// classParameters returns the parameters without those that Kubernetes has added.
func classParameters(parameters map[string]string) map[string]string {
	class := map[string]string{}
	for key, value := range parameters {
		if !strings.HasPrefix(key, metadataPrefix) {
			class[key] = value
		}
	}
	return class
}
