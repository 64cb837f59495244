package store

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// sizeUnits are the binary units of Kubernetes quantities. The whole quantity
// type would bring in more code than the rest of hostdir.
var sizeUnits = []string{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}

// parseSize reads a size in bytes such as 10Gi, 512Mi or 1073741824.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "EGKMPTi")
	number, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size like 10Gi", s)
	}
	for i, unit := range sizeUnits {
		if s[len(digits):] != unit {
			continue
		}
		if number > math.MaxInt64>>(10*i) {
			return 0, fmt.Errorf("%q is too large", s)
		}
		return int64(number) << (10 * i), nil
	}
	return 0, fmt.Errorf("%q is not a size like 10Gi", s)
}

// formatSize writes a size the way that claims do, rounded down to at least
// four digits: 10Gi, 1536Mi.
func formatSize(n int64) string {
	unit := 0
	for n >= 10*1024 || n >= 1024 && n%1024 == 0 {
		n /= 1024
		unit++
	}
	return strconv.FormatInt(n, 10) + sizeUnits[unit]
}

// Reserve is room that is never promised to claims: a share of the filesystem
// ("5%") or a size ("10Gi").
type Reserve struct {
	percent float64
	bytes   int64
}

// UnmarshalJSON reads "5%", "10Gi" or a number of bytes.
func (r *Reserve) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		text = string(data)
	}
	if number, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.ParseFloat(number, 64)
		// Written this way round, the condition refuses NaN as well.
		if err != nil || !(percent >= 0 && percent < 100) {
			return fmt.Errorf("reserve %q is not a share from 0%% to less than 100%%", text)
		}
		*r = Reserve{percent: percent}
		return nil
	}
	bytes, err := parseSize(text)
	if err != nil {
		return fmt.Errorf("reserve: %w, nor a share like 5%%", err)
	}
	*r = Reserve{bytes: bytes}
	return nil
}

// of returns the reserve in bytes on a filesystem of this size.
func (r Reserve) of(size int64) int64 {
	if r.percent > 0 {
		return int64(float64(size) * r.percent / 100)
	}
	return r.bytes
}
