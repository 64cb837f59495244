package deploy_test

import (
	"slices"
	"strings"
	"testing"
)

// TestManyNodes asks csi-provisioner for less where its owner says so.
func TestManyNodes(t *testing.T) {
	for _, test := range []struct {
		values string
		want   []string
	}{
		{`{}`, nil},
		{`csiProvisioner: {capacityPollInterval: 5m, snapshotOrphanSweepInterval: 0s}`, []string{"--capacity-poll-interval=5m", "--snapshot-orphan-sweep-interval=0s"}},
		{`{storageCapacity: false, csiProvisioner: {capacityPollInterval: 5m}}`, nil},
	} {
		manifests, refusal := render(t, test.values)
		if refusal != "" {
			t.Fatal(refusal)
		}
		var got []string
		for _, arg := range container(t, podSpecs(t, manifests)["hostdir-node"], "csi-provisioner").Args {
			if strings.HasPrefix(arg, "--capacity-poll-interval") || strings.HasPrefix(arg, "--snapshot-orphan-sweep-interval") {
				got = append(got, arg)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: csi-provisioner has %q, want %q", test.values, got, test.want)
		}
	}
	if _, refusal := render(t, `csiProvisioner: {capacityPollInterval: often}`); refusal == "" {
		t.Error("a capacityPollInterval that is no duration is taken")
	}
}
