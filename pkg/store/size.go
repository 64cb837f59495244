package store

import (
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
