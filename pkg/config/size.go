package config

import (
	"fmt"
	"math/big"
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// sizeUnits are the binary units of Kubernetes quantities, decimalUnits the others.
// The whole quantity type would bring in more code than the rest of hostdir.
var (
	sizeUnits    = []string{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}
	decimalUnits = []string{"", "k", "M", "G", "T", "P", "E"}
)

var sizePattern = regexp.MustCompile(`^([0-9]{1,20}(?:\.[0-9]{1,20})?)(|[kMGTPE]|[KMGTPE]i)$`)

// ParseSize reads a size in bytes such as 10Gi, 1.5Ti, 500M or 1073741824. What is
// no whole number of bytes is rounded up, as Kubernetes does.
func ParseSize(s string) (int64, error) {
	parts := sizePattern.FindStringSubmatch(s)
	if parts == nil {
		return 0, fmt.Errorf("%q is not a size like 10Gi", s)
	}
	size, _ := new(big.Rat).SetString(parts[1])
	base, exponent := int64(1024), slices.Index(sizeUnits, parts[2])
	if exponent < 0 {
		base, exponent = 1000, slices.Index(decimalUnits, parts[2])
	}
	size.Mul(size, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(base), big.NewInt(int64(exponent)), nil)))
	bytes, rest := new(big.Int).QuoRem(size.Num(), size.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		bytes.Add(bytes, big.NewInt(1))
	}
	if !bytes.IsInt64() {
		return 0, fmt.Errorf("%q is too large", s)
	}
	return bytes.Int64(), nil
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
