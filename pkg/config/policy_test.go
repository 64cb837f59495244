package config

import "testing"

func TestReserveForms(t *testing.T) {
	for _, test := range []struct {
		text string
		want int64 // of 1000 GiB
		ok   bool
	}{
		{`"5%"`, 50 << 30, true},
		{`"0.5%"`, 5 << 30, true},
		{`"0%"`, 0, true},
		{`"10Gi"`, 10 << 30, true},
		{`"512Mi"`, 512 << 20, true},
		{`"1Ei"`, 1 << 60, true},
		{`"1073741824"`, 1 << 30, true},
		{`1073741824`, 1 << 30, true},
		{`"8Ei"`, 0, false},
		{`"10GB"`, 0, false},
		{`"10G"`, 10_000_000_000, true},
		{`"1.5Gi"`, 3 << 29, true},
		{`"Gi"`, 0, false},
		{`" 5%"`, 0, false},
		{`""`, 0, false},
		{`true`, 0, false},
	} {
		t.Run(test.text, func(t *testing.T) {
			var r Reserve
			err := r.UnmarshalJSON([]byte(test.text))
			if (err == nil) != test.ok {
				t.Fatalf("error %v", err)
			}
			if got := r.Of(1000 << 30); got != test.want {
				t.Errorf("%d bytes, want %d", got, test.want)
			}
		})
	}
}
