package rebuild

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/hostdir/hostdir/pkg/config"
)

// class is the name of the class that a volume is of: what its record says, or else
// its claim, the person, or the only class that makes such volumes.
func (p planner) class(r *Row, v Volume, there *corev1.PersistentVolumeClaim) (string, bool) {
	if v.Class.Name != "" {
		return v.Class.Name, true
	}
	if there != nil && there.Spec.StorageClassName != nil {
		return classOf(there), true
	}
	if p.StorageClass != "" {
		return p.StorageClass, true
	}
	var fitting []string
	for i := range p.Classes {
		if c := &p.Classes[i]; c.Provisioner == p.Driver && makes(c, v) {
			fitting = append(fitting, c.Name)
		}
	}
	switch len(fitting) {
	case 1:
		r.say("its record names no class: %s is the only one that makes such volumes", fitting[0])
		return fitting[0], true
	case 0:
		r.conflict("its record names no class, and none makes such volumes (%s): say it with --storage-class", v.Class)
	default:
		r.conflict("its record names no class, and %s make such volumes: say it with --storage-class", strings.Join(fitting, ", "))
	}
	return "", false
}

// makes reports whether a class makes such volumes.
func makes(c *storagev1.StorageClass, v Volume) bool {
	parameters := maps.Clone(c.Parameters)
	maps.DeleteFunc(parameters, func(key, _ string) bool { return strings.HasPrefix(key, "csi.storage.k8s.io/") })
	class, err := config.ParseClass(parameters)
	class.Name = "" // the record is from before the class had one
	return err == nil && class == v.Class && slices.Equal(c.MountOptions, v.MountOptions)
}

// modes are the access modes that the claim asked for.
func (p planner) modes(r *Row, v Volume, there *corev1.PersistentVolumeClaim) []string {
	if len(v.AccessModes) > 0 {
		return v.AccessModes
	}
	var modes []string
	if there != nil {
		for _, mode := range there.Spec.AccessModes {
			modes = append(modes, string(mode))
		}
	}
	if len(modes) == 0 {
		modes = []string{p.AccessMode}
		r.say("its record names no access mode: %s is taken", p.AccessMode)
	}
	return modes
}
