package main

import (
	"bytes"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/pkg/admin"
)

// TestAdoption reads the PersistentVolume that is written for a volume.
func TestAdoption(t *testing.T) {
	type persistentVolume struct {
		Kind     string
		Metadata struct{ Name string }
		Spec     struct {
			Capacity         map[string]string
			AccessModes      []string
			StorageClassName string
			MountOptions     []string
			CSI              struct{ Driver, VolumeHandle string }
			ClaimRef         *struct{ Namespace, Name string }

			PersistentVolumeReclaimPolicy string
		}
	}
	u := admin.Adoptable{
		ID: "an-id.pvc-1", PersistentVolume: "pvc-1", CapacityBytes: 1 << 30, Driver: "csi.hostdir.io",
		Claim: &admin.Claim{Namespace: "shop", Name: "data"}, MountOptions: []string{"ro", "noexec", "noatime"},
		NodeLabels: map[string]string{"csi.hostdir.io/node": "node-1"},
	}
	for _, options := range [][]string{{"ro", "noexec", "noatime"}, nil} {
		u.MountOptions = options
		var out bytes.Buffer
		if err := (&adoption{storageClass: "hostdir", accessMode: "ReadWriteOnce"}).write(&out, u); err != nil {
			t.Fatal(err)
		}
		var pv persistentVolume
		if err := yaml.Unmarshal(out.Bytes(), &pv); err != nil {
			t.Fatal(err)
		}
		spec := pv.Spec
		if pv.Kind != "PersistentVolume" || pv.Metadata.Name != "pvc-1" || spec.CSI.VolumeHandle != u.ID || spec.CSI.Driver != u.Driver ||
			spec.ClaimRef == nil || spec.ClaimRef.Name != "data" || spec.PersistentVolumeReclaimPolicy != "Retain" {
			t.Errorf("it is written as\n%s", &out)
		}
		if !slices.Equal(spec.MountOptions, options) {
			t.Errorf("mount options %q, want %q", spec.MountOptions, options)
		}
	}
}
