package config

import (
	"errors"
	"maps"
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
		{"nothing", nil, Class{Pool: "default", Mode: "0777", UID: 0, GID: 0, Quota: QuotaAuto, TrashTTL: "", Inodes: ""}, true},
		{"everything", map[string]string{"pool": "nvme", "mode": "2770", "uid": "1000", "gid": "2000", "quota": "required", "trashTTL": "36h"}, Class{Pool: "nvme", Mode: "2770", UID: 1000, GID: 2000, Quota: QuotaRequired, TrashTTL: "36h0m0s", Inodes: ""}, true},
		{"a short mode", map[string]string{"mode": "755"}, Class{Pool: "default", Mode: "0755", UID: 0, GID: 0, Quota: QuotaAuto, TrashTTL: "", Inodes: ""}, true},
		{"inodes", map[string]string{"inodes": "0100000"}, Class{Pool: "default", Mode: "0777", UID: 0, GID: 0, Quota: QuotaAuto, TrashTTL: "", Inodes: "100000"}, true},
		{"any number of inodes", map[string]string{"inodes": "none"}, Class{Pool: "default", Mode: "0777", UID: 0, GID: 0, Quota: QuotaAuto, TrashTTL: "", Inodes: "none"}, true},
		{"inodes without a quota", map[string]string{"inodes": "100000", "quota": "off"}, Class{}, false},
		{"any number of inodes without a quota", map[string]string{"inodes": "none", "quota": "off"}, Class{Pool: "default", Mode: "0777", UID: 0, GID: 0, Quota: QuotaOff, TrashTTL: "", Inodes: "none"}, true},
		{"the controller's", map[string]string{"reuse": "same-claim", "onNodeLoss": "recreate"}, Class{Pool: "default", Mode: "0777", Quota: QuotaAuto, Reuse: ReuseSameClaim, OnNodeLoss: NodeLossRecreate}, true},
		{"the controller's, as without", map[string]string{"reuse": "never", "onNodeLoss": "keep"}, Class{Pool: "default", Mode: "0777", Quota: QuotaAuto}, true},
		{"reuse by anybody", map[string]string{"reuse": "any"}, Class{}, false},
		{"reuse of nothing", map[string]string{"reuse": ""}, Class{}, false},
		{"the class's name", map[string]string{"className": "fast.hostdir-2"}, Class{Name: "fast.hostdir-2", Pool: "default", Mode: "0777", Quota: QuotaAuto}, true},
		{"no class's name", map[string]string{"className": ""}, Class{}, false},
		{"a name that no class has", map[string]string{"className": "Fast/1"}, Class{}, false},
		{"a strange node loss", map[string]string{"onNodeLoss": "delete"}, Class{}, false},
		{"no node loss", map[string]string{"onNodeLoss": ""}, Class{}, false},
		{"no inodes", map[string]string{"inodes": "0"}, Class{}, false},
		{"too few inodes", map[string]string{"inodes": "15"}, Class{}, false},
		{"fewer inodes than none", map[string]string{"inodes": "-1"}, Class{}, false},
		{"inodes with a unit", map[string]string{"inodes": "64k"}, Class{}, false},
		{"inodes without a value", map[string]string{"inodes": ""}, Class{}, false},
		{"no trash", map[string]string{"trashTTL": "0s"}, Class{Pool: "default", Mode: "0777", UID: 0, GID: 0, Quota: QuotaAuto, TrashTTL: "0s", Inodes: ""}, true},
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

func TestAttributes(t *testing.T) {
	for _, test := range []struct {
		parameters, want map[string]string
	}{
		{nil, map[string]string{}},
		{map[string]string{"pool": "fast", "reuse": "never", "onNodeLoss": "keep"}, map[string]string{}},
		{map[string]string{"reuse": "same-claim"}, map[string]string{"reuse": "same-claim"}},
		{map[string]string{"onNodeLoss": "recreate", "uid": "1"}, map[string]string{"onNodeLoss": "recreate"}},
		{map[string]string{"reuse": "same-claim", "onNodeLoss": "release"}, map[string]string{"reuse": "same-claim", "onNodeLoss": "release"}},
	} {
		c, err := ParseClass(test.parameters)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Attributes(); !maps.Equal(got, test.want) {
			t.Errorf("%v have the attributes %v, want %v", test.parameters, got, test.want)
		}
	}
}
