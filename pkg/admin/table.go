package admin

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hostdir/hostdir/pkg/quota"
)

// unknown stands in a table for what is not known.
const unknown = "-"

// WriteTable writes the base directories for people, and below what is to say
// about them.
func (p Pools) WriteTable(w io.Writer) error {
	var rows [][]string
	var notes []string
	for _, b := range p.BaseDirectories {
		rows = append(rows, []string{
			b.Pool, b.Path, string(b.State), sizeOrUnknown(b.SizeBytes), sizeOrUnknown(b.FreeBytes),
			formatSize(b.PromisedBytes), formatSize(b.AvailableBytes), strconv.Itoa(b.Volumes), b.quotaCell(),
		})
		if b.Reason != "" {
			notes = append(notes, fmt.Sprintf("%s: %s: %s", b.Path, b.State, b.Reason))
		}
		if b.WhyAdvisory != "" {
			notes = append(notes, fmt.Sprintf("%s: capacity is advisory: %s", b.Path, b.WhyAdvisory))
		}
		if b.Trash > 0 {
			notes = append(notes, fmt.Sprintf("%s: deleted volumes in the trash (hostdir trash): %d", b.Path, b.Trash))
		}
		if b.Stuck > 0 {
			notes = append(notes, fmt.Sprintf("%s: deleted volumes that cannot be removed (hostdir trash tells why): %d", b.Path, b.Stuck))
		}
	}
	if p.ConfigError != "" {
		notes = append(notes, "The configuration file is refused, the last good one is in force: "+p.ConfigError)
	}
	return writeTable(w, "POOL PATH STATE SIZE FREE PROMISED AVAILABLE VOLUMES QUOTA", rows, notes)
}

func (b BaseDirectory) quotaCell() string {
	if b.Quota == quota.None {
		return "advisory"
	}
	return cmp.Or(string(b.Quota), unknown)
}

// WriteTable writes the volumes for people. The counts' ages are told as of now.
func (v Volumes) WriteTable(w io.Writer, now time.Time) error {
	var rows [][]string
	for _, volume := range v.Volumes {
		rows = append(rows, volume.row(now))
	}
	return writeTable(w, "CLAIM VOLUME POOL NODE-PATH SIZE USED COUNTED QUOTA", rows, nil)
}

func (v Volume) row(now time.Time) []string {
	claim, name, size, used, counted := unknown, v.Name, unknown, unknown, unknown
	if v.Claim != nil {
		claim = v.Claim.String()
	}
	if name == "" {
		_, name, _ = strings.Cut(v.ID, ".")
	}
	if v.Quarantine == "" {
		size, counted = formatSize(v.CapacityBytes), "not yet"
	}
	if v.Used != nil {
		used, counted = formatSize(v.Used.Bytes), formatAge(now.Sub(v.Used.At))+" ago"
	}
	return []string{claim, name, v.Pool, v.Path, size, used, counted, v.quotaCell()}
}

func (v Volume) quotaCell() string {
	switch {
	case v.Quarantine != "":
		return "quarantined: " + v.Quarantine
	case v.Enforced:
		return string(v.Quota)
	case v.Quota != "":
		return string(v.Quota) + ", not in force: see hostdir pools"
	default:
		return "advisory"
	}
}

// writeTable aligns columns, of which the last may be long, and adds notes below.
func writeTable(w io.Writer, header string, rows [][]string, notes []string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.ReplaceAll(header, " ", "\t"))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = oneLine(cell)
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i, note := range notes {
		if i == 0 {
			fmt.Fprintln(w)
		}
		if _, err := fmt.Fprintln(w, oneLine(note)); err != nil {
			return err
		}
	}
	return nil
}

// oneLine keeps what others chose, as names of volumes, from breaking a table.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func sizeOrUnknown(n *int64) string {
	if n == nil {
		return unknown
	}
	return formatSize(*n)
}

// formatSize writes a size with the units of Kubernetes, as exactly as a glance
// takes in: 812Ki, 1.5Gi, 10Gi.
func formatSize(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	size, unit := float64(n)/1024, 0
	for size >= 1023.95 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	return strings.TrimSuffix(strconv.FormatFloat(size, 'f', 1, 64), ".0") + units[unit:unit+1] + "i"
}

// formatAge writes a duration in its largest unit.
func formatAge(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(max(0, d).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	default:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
}
