package admin

import (
	"strings"
	"testing"
	"time"
)

func TestDeletionText(t *testing.T) {
	created := time.Date(2026, 11, 23, 15, 49, 47, 0, time.UTC)
	d := Deletion{Volume: Volume{
		ID: "uuid.pvc-1", Name: "pvc-1", Path: "/pool/volumes/pvc-1/data", CapacityBytes: 1 << 30, Created: &created,
		Claim: &Claim{Namespace: "shop", Name: "a"}, Used: &Used{Bytes: 5 << 20},
	}, TrashTTL: 24 * time.Hour}
	for _, test := range []struct {
		name   string
		change func(*Deletion)
		says   []string
	}{
		{"kept", func(*Deletion) {}, []string{
			"/pool/volumes/pvc-1/data\n", "volume:    uuid.pvc-1\n", "made for:  claim shop/a\n", "created:   2026-11-23T15:49:47Z\n", "size:      1Gi, 5Mi used\n",
			"brings it back for 24h0m0s", "points to nothing", "| grep uuid.pvc-1",
		}},
		{"not kept", func(d *Deletion) { d.TrashTTL = 0 }, []string{"no trashTTL: its files are removed at once, for good"}},
		{"little is known", func(d *Deletion) { d.Claim, d.Used, d.Created = nil, nil, nil }, []string{"made for:  a claim that is not known\n", "size:      1Gi\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			changed := d
			test.change(&changed)
			for _, want := range test.says {
				if got := changed.String(); !strings.Contains(got, want) {
					t.Errorf("it does not say %q:\n%s", want, got)
				}
			}
		})
	}
}
