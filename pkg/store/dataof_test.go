package store

import "testing"

func TestIsDataOf(t *testing.T) {
	const disk = "b490df6d-2009-4f77-a840-0552710a9304"
	for _, test := range []struct {
		id, directory string
		want          bool
	}{
		{disk + ".pvc-1", "/volumes/pvc-1/data", true},
		{disk + ".pvc-1", "/var/lib/hostdir/volumes/pvc-1/data", true},
		{disk + ".pvc-1", "/var/lib/hostdir/volumes/pvc-1/data//deleted", true},
		{disk + ".pvc-1", "/trash/pvc-1.20261123T184417Z." + disk + "/data", true},
		{disk + ".pvc-1", "/trash/pvc-1.purge." + disk + "/data//deleted", true},
		{disk + ".pvc-1", "/trash/pvc-2.purge." + disk + "/data", false},
		{disk + ".pvc-1", "/trash/pvc-1/data", false},
		{disk + ".pvc-1", "/volumes/pvc-2/data", false},
		{disk + ".pvc-1", "/volumes/pvc-1/data/below", false},
		{disk + ".pvc-1", "/volumes/pvc-1", false},
		{disk + ".pvc-1", "/elsewhere/pvc-1/data", false},
		{disk + ".pvc-1", "/data", false},
		{disk + ".pvc-1", "/", false},
		{disk + ".pvc-1", "", false},
		{"pvc-1", "/volumes/pvc-1/data", false},
	} {
		if got := IsDataOf(test.id, test.directory); got != test.want {
			t.Errorf("%s is the data of %s: %t", test.directory, test.id, got)
		}
	}
}
