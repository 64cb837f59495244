package config

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Reserve is room that is never allocated to claims: a share of the filesystem
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
	bytes, err := ParseSize(text)
	if err != nil {
		return fmt.Errorf("reserve: %w, nor a share like 5%%", err)
	}
	*r = Reserve{bytes: bytes}
	return nil
}

// Of returns the reserve in bytes on a filesystem of this size.
func (r Reserve) Of(size int64) int64 {
	if r.percent > 0 {
		return int64(float64(size) * r.percent / 100)
	}
	return r.bytes
}

// Overcommit is a multiple. The zero value is 1: no more is allocated than
// there is.
type Overcommit struct {
	beyondOne float64
}

// maxOvercommit is more than anyone means.
const maxOvercommit = 1000

// UnmarshalJSON reads a number above 0.
func (o *Overcommit) UnmarshalJSON(data []byte) error {
	factor, err := strconv.ParseFloat(string(data), 64)
	if err != nil || !(factor > 0 && factor <= maxOvercommit) {
		return fmt.Errorf("overcommit %s is not a number above 0 and up to %d", data, maxOvercommit)
	}
	*o = Overcommit{factor - 1}
	return nil
}

// Of multiplies, up to the largest number there is.
func (o Overcommit) Of(bytes int64) int64 {
	if o.beyondOne == 0 {
		return bytes
	}
	product := float64(bytes) * (1 + o.beyondOne)
	if product >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(product)
}

// Duration is a time span, written as time.ParseDuration reads it.
type Duration time.Duration

// UnmarshalJSON reads "30m" or "168h".
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("%s is not a duration such as 30m or 168h", data)
	}
	span, err := time.ParseDuration(text)
	if err != nil || span < 0 {
		return fmt.Errorf("%q is not a duration such as 30m or 168h", text)
	}
	*d = Duration(span)
	return nil
}
