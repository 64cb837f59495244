package main

import (
	"cmp"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/store"
)

// adoption makes the PersistentVolume with which Kubernetes takes up a volume
// that it has forgotten.
type adoption struct {
	// Empty is what the record says, or hostdir and ReadWriteOnce if it says nothing.
	storageClass, accessMode string
	// claim is the one that the volume is reserved for, as "namespace/name", "" for
	// the one that it was made for.
	claim string
}

func (a *adoption) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&a.storageClass, "storage-class", "", "the StorageClass that the claim names (default: the one that the volume was made with, or hostdir if its record does not say)")
	flags.StringVar(&a.accessMode, "access-mode", "", "the access mode that the claim asks for (default: as recorded, or ReadWriteOnce)")
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

// write writes the PersistentVolume as YAML. A comment says how hostdir knows for
// which claim.
func (a *adoption) write(w io.Writer, v admin.Adoptable) error {
	claim, err := a.reservedFor(v)
	if err != nil {
		return err
	}
	modes := v.AccessModes
	if a.accessMode != "" || len(modes) == 0 {
		modes = []string{cmp.Or(a.accessMode, "ReadWriteOnce")}
	}
	text, err := yaml.Marshal(v.Manifest(claim, cmp.Or(a.storageClass, v.Class.Name, "hostdir"), modes))
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
