package config

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// sizeUnits are the binary units of Kubernetes quantities. The whole quantity
// type would bring in more code than the rest of hostdir.
var sizeUnits = []string{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}

// ParseSize reads a size in bytes such as 10Gi, 512Mi or 1073741824.
func ParseSize(s string) (int64, error) {
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

// FormatSize writes a size as a claim would, if it is one that a claim would ask
// for: 10Gi, 1536Mi. Otherwise it writes the first three digits, rounded down, so
// that nothing looks as if it had more room than it has: 64.7Gi, 812Ki.
func FormatSize(n int64) string {
	exact, unit := n, 0
	for exact != 0 && exact%1024 == 0 {
		exact, unit = exact/1024, unit+1
	}
	if exact < 100_000 {
		return strconv.FormatInt(exact, 10) + sizeUnits[unit]
	}
	unit = (bits.Len64(uint64(n)) - 1) / 10
	whole, thousandths := n>>(10*unit), n>>(10*(unit-1))%1024*1000/1024
	text := fmt.Sprintf("%d.%03d", whole, thousandths)
	text = text[:max(len("1.00"), strings.IndexByte(text, '.'))] // 1023 has four digits
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text + sizeUnits[unit]
}
