package admin

import "strconv"

// Manifest is the PersistentVolume with which Kubernetes takes up the volume again, as
// it is written in JSON. It is retained: whoever has lost the volume once is not to lose
// it by the same mistake again. It is reserved for a claim, which need not exist yet:
// without one it would go to whichever claim asks first.
func (a Adoptable) Manifest(claim Claim, class string, modes []string) map[string]any {
	type object = map[string]any
	var here []object
	for key, value := range a.NodeLabels {
		here = append(here, object{"key": key, "operator": "In", "values": []string{value}})
	}
	csi := object{"driver": a.Driver, "volumeHandle": a.ID}
	if len(a.Attributes) > 0 {
		csi["volumeAttributes"] = a.Attributes
	}
	spec := object{
		"capacity":                      object{"storage": strconv.FormatInt(a.CapacityBytes, 10)},
		"accessModes":                   modes,
		"persistentVolumeReclaimPolicy": "Retain",
		"storageClassName":              class,
		"csi":                           csi,
		"nodeAffinity":                  object{"required": object{"nodeSelectorTerms": []object{{"matchExpressions": here}}}},
		"claimRef":                      object{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.Namespace, "name": claim.Name},
	}
	if len(a.MountOptions) > 0 {
		spec["mountOptions"] = a.MountOptions
	}
	return object{
		"apiVersion": "v1",
		"kind":       "PersistentVolume",
		"metadata": object{
			"name": a.PersistentVolume,
			// So that the provisioner deletes it, should its policy be changed to that.
			"annotations": object{"pv.kubernetes.io/provisioned-by": a.Driver},
		},
		"spec": spec,
	}
}
