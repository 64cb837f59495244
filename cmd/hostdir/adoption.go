package main

import (
	"io"
	"strconv"

	"sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/pkg/admin"
)

// adoption makes the PersistentVolume with which Kubernetes takes up a volume
// that it has forgotten.
type adoption struct {
	// The record of a volume has neither: CSI does not hand them to the driver.
	storageClass, accessMode string
}

type object map[string]any

// write writes the PersistentVolume as YAML. It is retained: whoever has deleted
// the volume by mistake once is not to lose it the same way again. It is reserved
// for the claim that the volume had, which need not exist yet.
func (a adoption) write(w io.Writer, u admin.Undeleted) error {
	var here []object
	for key, value := range u.NodeLabels {
		here = append(here, object{"key": key, "operator": "In", "values": []string{value}})
	}
	spec := object{
		"capacity":                      object{"storage": strconv.FormatInt(u.CapacityBytes, 10)},
		"accessModes":                   []string{a.accessMode},
		"persistentVolumeReclaimPolicy": "Retain",
		"storageClassName":              a.storageClass,
		"csi":                           object{"driver": u.Driver, "volumeHandle": u.ID},
		"nodeAffinity":                  object{"required": object{"nodeSelectorTerms": []object{{"matchExpressions": here}}}},
	}
	if len(u.MountOptions) > 0 {
		spec["mountOptions"] = u.MountOptions
	}
	if u.Claim != nil {
		spec["claimRef"] = object{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": u.Claim.Namespace, "name": u.Claim.Name}
	}
	text, err := yaml.Marshal(object{
		"apiVersion": "v1",
		"kind":       "PersistentVolume",
		"metadata": object{
			"name": u.PersistentVolume,
			// So that the provisioner deletes it, should its policy be changed to that.
			"annotations": object{"pv.kubernetes.io/provisioned-by": u.Driver},
		},
		"spec": spec,
	})
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}
