package main

import (
	"errors"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strictyaml "sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/tests/plugin"
)

// TestPersistentVolumesAreYAML reads what is printed as kubectl does, with nothing in
// it that a PersistentVolume does not have, and compares it with what CreateVolume said.
func TestPersistentVolumesAreYAML(t *testing.T) {
	t.Parallel()
	p := layOut(t)
	p.Run(t)
	attributes := map[string]map[string]string{} // by volume
	for claim, class := range map[string]map[string]string{
		"a": {},
		"b": {"reuse": "same-claim", "onNodeLoss": "recreate"},
		"c": {"reuse": "never", "uid": "1000"},
	} {
		req := plugin.GoodCreate("pvc-"+claim, 1<<20)
		req.Parameters = map[string]string{"csi.storage.k8s.io/pvc/namespace": "shop", "csi.storage.k8s.io/pvc/name": claim}
		maps.Copy(req.Parameters, class)
		resp, err := plugin.NewClient(p.Conn).CreateVolume(plugin.Context(t), req)
		if err != nil {
			t.Fatal(err)
		}
		attributes[resp.GetVolume().GetVolumeId()] = resp.GetVolume().GetVolumeContext()
	}
	out, errs, code := ask(t, p, "volumes", "pv", "--all")
	if code != 0 || errs != "" {
		t.Fatalf("volumes pv --all ends with %d: %s", code, errs)
	}
	found := map[string]map[string]string{}
	documents := yaml.NewDocumentDecoder(io.NopCloser(strings.NewReader(out)))
	for buffer := make([]byte, 1<<16); ; {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var v corev1.PersistentVolume
		if err := strictyaml.UnmarshalStrict(buffer[:n], &v); err != nil {
			t.Fatalf("%v:\n%s", err, buffer[:n])
		}
		if v.Kind != "PersistentVolume" || v.Spec.ClaimRef == nil || v.Spec.ClaimRef.Namespace != "shop" || v.Name != "pvc-"+v.Spec.ClaimRef.Name || v.Spec.NodeAffinity == nil {
			t.Errorf("it prints %+v", v)
		}
		found[v.Spec.CSI.VolumeHandle] = v.Spec.CSI.VolumeAttributes
	}
	for _, of := range []map[string]map[string]string{attributes, found} {
		for id, a := range of {
			if len(a) == 0 {
				of[id] = nil
			}
		}
	}
	if diff := cmp.Diff(attributes, found); diff != "" {
		t.Errorf("volumes and their attributes (-want +got):\n%s", diff)
	}
}
