package store

import (
	"strings"
	"testing"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

const testUUID = "5f4ae8a2-7b1d-4d3a-9a51-2a5d1f0f3b11"

func TestVolumeID(t *testing.T) {
	for _, test := range []struct {
		id string
		ok bool
	}{
		{testUUID + ".pvc-1", true},
		{testUUID + ".0", true},
		{testUUID + "." + strings.Repeat("n", 63), true},
		{testUUID + "." + strings.Repeat("n", 64), false},
		{testUUID + ".pvc.1", false},
		{testUUID + ".-pvc", false},
		{testUUID + ".pvc-", false},
		{testUUID + ".pvc\n", false},
		{testUUID + ".PVC", false},
		{testUUID + ".", false},
		{testUUID, false},
		{strings.ToUpper(testUUID) + ".pvc-1", false},
		{testUUID[1:] + ".pvc-1", false},
		{"../" + testUUID + ".pvc-1", false},
		{"", false},
	} {
		t.Run(test.id, func(t *testing.T) {
			id, err := ParseVolumeID(test.id)
			if !test.ok {
				wantClass(t, err, errdefs.ErrNotFound)
				return
			}
			if err != nil || id.String() != test.id {
				t.Errorf("parsed to %s: %v", id, err)
			}
		})
	}
}

func TestDirectoryName(t *testing.T) {
	taken := map[string]string{}
	for _, test := range []struct {
		name   string
		hashed bool
	}{
		{"pvc-0a1b2c3d", false},
		{"a", false},
		{strings.Repeat("n", 63), false},
		{strings.Repeat("n", 64), true},
		{"../../etc", true},
		{".", true},
		{"PVC-0a1b2c3d", true},
		{"pvc.1", true},
		{"pvc-1\n", true},
		{"-pvc", true},
		{"🐘", true},
		// Who takes a hashed name for his own gets another one.
		{"sha256-0000000000000000000000000000000000000000", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := directoryName(test.name)
			if err != nil {
				t.Fatal(err)
			}
			if !isDirectoryName(got) {
				t.Errorf("%q is not a plain name", got)
			}
			if (got != test.name) != test.hashed {
				t.Errorf("the directory is called %q", got)
			}
			if other, ok := taken[got]; ok {
				t.Errorf("%q is the directory of %q already", got, other)
			}
			taken[got] = test.name
		})
	}
}
