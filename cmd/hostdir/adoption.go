package main

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/store"
)

// adoption makes the PersistentVolume with which Kubernetes takes up a volume
// that it has forgotten.
type adoption struct {
	// The record of a volume has neither: CSI does not hand them to the driver.
	storageClass, accessMode string
	// claim is the one that the volume is reserved for, as "namespace/name", "" for
	// the one that it was made for.
	claim string
}

func (a *adoption) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&a.storageClass, "storage-class", "hostdir", "the StorageClass that the claim names")
	flags.StringVar(&a.accessMode, "access-mode", "ReadWriteOnce", "the access mode that the claim asks for")
	flags.StringVar(&a.claim, "claim", "", "reserve it for this claim, as NAMESPACE/NAME (default: the claim that the volume was made for)")
}

func (a *adoption) validate() error {
	if a.claim == "" {
		return nil
	}
	if _, err := store.ParseClaim(a.claim); err != nil {
		return fmt.Errorf("--claim: %w", err)
	}
	return nil
}

// print writes the PersistentVolume to standard output, and what a person has to
// know of it to standard error.
func (a *adoption) print(v admin.Adoptable) error {
	for _, warning := range v.Warnings {
		fmt.Fprintln(os.Stderr, "Warning:", warning)
	}
	return a.write(os.Stdout, v)
}

// reservedFor returns the claim that the volume is reserved for. Without one it
// would go to whichever claim asks first.
func (a *adoption) reservedFor(v admin.Adoptable) (admin.Claim, error) {
	switch {
	case a.claim != "":
		claim, err := store.ParseClaim(a.claim)
		return admin.Claim(claim), err
	case v.Claim == nil:
		return admin.Claim{}, fmt.Errorf("it is not known which claim the volume was made for: `hostdir volumes pv %s --claim NAMESPACE/NAME` prints the PersistentVolume for the one that is to have it", v.ID)
	}
	return *v.Claim, nil
}

type object map[string]any

// write writes the PersistentVolume as YAML. It is retained: whoever has deleted
// the volume by mistake once is not to lose it the same way again. It is reserved
// for a claim, which need not exist yet. A comment says how hostdir knows which.
func (a *adoption) write(w io.Writer, v admin.Adoptable) error {
	claim, err := a.reservedFor(v)
	if err != nil {
		return err
	}
	var here []object
	for key, value := range v.NodeLabels {
		here = append(here, object{"key": key, "operator": "In", "values": []string{value}})
	}
	csi := object{"driver": v.Driver, "volumeHandle": v.ID}
	if len(v.Attributes) > 0 {
		csi["volumeAttributes"] = v.Attributes
	}
	spec := object{
		"capacity":                      object{"storage": strconv.FormatInt(v.CapacityBytes, 10)},
		"accessModes":                   []string{a.accessMode},
		"persistentVolumeReclaimPolicy": "Retain",
		"storageClassName":              a.storageClass,
		"csi":                           csi,
		"nodeAffinity":                  object{"required": object{"nodeSelectorTerms": []object{{"matchExpressions": here}}}},
		"claimRef":                      object{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.Namespace, "name": claim.Name},
	}
	if len(v.MountOptions) > 0 {
		spec["mountOptions"] = v.MountOptions
	}
	text, err := yaml.Marshal(object{
		"apiVersion": "v1",
		"kind":       "PersistentVolume",
		"metadata": object{
			"name": v.PersistentVolume,
			// So that the provisioner deletes it, should its policy be changed to that.
			"annotations": object{"pv.kubernetes.io/provisioned-by": v.Driver},
		},
		"spec": spec,
	})
	if err == nil {
		_, err = fmt.Fprintf(w, "---\n%s%s", origin(v, claim), text)
	}
	return err
}

// origin says which claim the volume was made for: a node does not learn when its
// PersistentVolume is bound to another one.
func origin(v admin.Adoptable, reservedFor admin.Claim) string {
	switch {
	case v.Claim == nil:
		return "# It is not known which claim this volume was made for.\n"
	case *v.Claim != reservedFor:
		return fmt.Sprintf("# This volume was made for claim %s, and is reserved for another one.\n", v.Claim)
	}
	return fmt.Sprintf("# This volume was made for claim %s. If it was bound to another one later, reserve it for that: --claim.\n", v.Claim)
}
