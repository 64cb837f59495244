package config

import (
	"errors"
	"testing"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

func TestParseClass(t *testing.T) {
	for _, test := range []struct {
		name       string
		parameters map[string]string
		want       Class
		ok         bool
	}{
		{"nothing", nil, Class{"default", "0777", 0, 0, QuotaAuto, "", ""}, true},
		{"everything", map[string]string{"pool": "nvme", "mode": "2770", "uid": "1000", "gid": "2000", "quota": "required", "trashTTL": "36h"}, Class{"nvme", "2770", 1000, 2000, QuotaRequired, "36h0m0s", ""}, true},
		{"a short mode", map[string]string{"mode": "755"}, Class{"default", "0755", 0, 0, QuotaAuto, "", ""}, true},
		{"inodes", map[string]string{"inodes": "0100000"}, Class{"default", "0777", 0, 0, QuotaAuto, "", "100000"}, true},
		{"any number of inodes", map[string]string{"inodes": "none"}, Class{"default", "0777", 0, 0, QuotaAuto, "", "none"}, true},
		{"inodes without a quota", map[string]string{"inodes": "100000", "quota": "off"}, Class{}, false},
		{"any number of inodes without a quota", map[string]string{"inodes": "none", "quota": "off"}, Class{"default", "0777", 0, 0, QuotaOff, "", "none"}, true},
		{"no inodes", map[string]string{"inodes": "0"}, Class{}, false},
		{"too few inodes", map[string]string{"inodes": "15"}, Class{}, false},
		{"fewer inodes than none", map[string]string{"inodes": "-1"}, Class{}, false},
		{"inodes with a unit", map[string]string{"inodes": "64k"}, Class{}, false},
		{"inodes without a value", map[string]string{"inodes": ""}, Class{}, false},
		{"no trash", map[string]string{"trashTTL": "0s"}, Class{"default", "0777", 0, 0, QuotaAuto, "0s", ""}, true},
		{"a trash in days", map[string]string{"trashTTL": "7d"}, Class{}, false},
		{"a trash of the past", map[string]string{"trashTTL": "-1h"}, Class{}, false},
		{"a quota that is not known", map[string]string{"quota": "hard"}, Class{}, false},
		{"an unknown parameter", map[string]string{"quality": "best"}, Class{}, false},
		{"a pool that is a path", map[string]string{"pool": "../default"}, Class{}, false},
		{"a mode with setuid", map[string]string{"mode": "4755"}, Class{}, false},
		{"a mode that is not octal", map[string]string{"mode": "0788"}, Class{}, false},
		{"a mode in letters", map[string]string{"mode": "rwx"}, Class{}, false},
		{"a mode with a sign", map[string]string{"mode": "+755"}, Class{}, false},
		{"an empty mode", map[string]string{"mode": ""}, Class{}, false},
		{"a negative user", map[string]string{"uid": "-1"}, Class{}, false},
		{"the user that means unchanged", map[string]string{"uid": "4294967295"}, Class{}, false},
		{"a user too high", map[string]string{"uid": "4294967296"}, Class{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseClass(test.parameters)
			if errors.Is(err, errdefs.ErrInvalid) == test.ok || got != test.want {
				t.Errorf("class %+v, error %v; want %+v", got, err, test.want)
			}
		})
	}
}
