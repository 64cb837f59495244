package sysfiles

import "testing"

func TestKnown(t *testing.T) {
	for name, want := range map[string]bool{
		"lost+found":                  true,
		"aquota.user":                 true,
		"aquota.group":                true,
		"quota.user":                  true,
		"quota.group":                 true,
		".snapshots":                  true,
		".zfs":                        true,
		".fscrypt":                    true,
		".Trash":                      true,
		".Trash-0":                    true,
		".Trash-1000":                 true,
		"DATALOSS_WARNING_README.txt": true,

		".Trash-":         false,
		".Trash-me":       false,
		".Trash-0-old":    false,
		"README":          false,
		"README.txt":      false,
		"aquota.user.new": false,
		"Lost+found":      false,
		".snapshots.old":  false,
		".nfs0000000000":  false,
		"volumes":         false,
		"disk.json":       false,
		"":                false,
	} {
		if got := Known(name); got != want {
			t.Errorf("%q: %t, want %t", name, got, want)
		}
	}
}
