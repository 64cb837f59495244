package driver

import (
	"slices"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostdir/hostdir/pkg/mounter"
)

// A volume is one directory on one node: pods of that node can share it, other
// nodes cannot reach it.
var accessModes = []csi.VolumeCapability_AccessMode_Mode{
	csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER,
	csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY,
	csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER,
	csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER,
}

// checkCapabilities returns ErrInvalid, in the words of Kubernetes, for what
// hostdir's volumes cannot be.
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

// modeName is what people call an access mode that is refused: the name in
// their claim, where there is one.
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

// publication is how a volume of this capability is to be mounted.
func publication(targetPath string, c *csi.VolumeCapability, readOnly bool) mounter.Publication {
	mode := c.GetAccessMode().GetMode()
	options := slices.Clone(c.GetMount().GetMountFlags())
	if (readOnly || mode == csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY) && !slices.Contains(options, "ro") {
		options = append(options, "ro")
	}
	return mounter.Publication{
		TargetPath: targetPath,
		Options:    options,
		Exclusive:  mode == csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER,
	}
}

// metadataPrefix marks parameters that Kubernetes adds to those of the class.
const metadataPrefix = "csi.storage.k8s.io/"

// classParameters are the parameters without what Kubernetes has added.
func classParameters(parameters map[string]string) map[string]string {
	class := map[string]string{}
	for key, value := range parameters {
		if !strings.HasPrefix(key, metadataPrefix) {
			class[key] = value
		}
	}
	return class
}
