package admin

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
)

// unknown stands in a table for what is not known.
const unknown = "-"

// WriteTable writes the disks for people, and notes about them below.
func (d Disks) WriteTable(w io.Writer) error {
	var rows [][]string
	var notes []string
	for _, b := range d.Disks {
		rows = append(rows, []string{
			b.Pool, b.Path, string(b.State), sizeOrUnknown(b.SizeBytes), sizeOrUnknown(b.FreeBytes),
			config.FormatSize(b.AllocatedBytes), config.FormatSize(b.AvailableBytes), strconv.Itoa(b.Volumes), b.quotaCell(),
		})
		if b.Message != "" {
			notes = append(notes, fmt.Sprintf("%s: %s: %s", b.Path, b.State, b.Message))
		}
		if b.Cordoned != "" && b.State != CordonedOff {
			notes = append(notes, fmt.Sprintf("%s: %s", b.Path, b.Cordoned))
		}
		if b.WhyAdvisory != "" {
			notes = append(notes, fmt.Sprintf("%s: capacity is advisory: %s", b.Path, b.WhyAdvisory))
		}
		if note := b.otherNodesNote(); note != "" {
			notes = append(notes, b.Path+": "+note)
		}
		if b.Trash > 0 {
			notes = append(notes, fmt.Sprintf("%s: deleted volumes in the trash (hostdir trash): %d", b.Path, b.Trash))
		}
		if b.Stuck > 0 {
			notes = append(notes, fmt.Sprintf("%s: deleted volumes that cannot be removed (hostdir trash says why): %d", b.Path, b.Stuck))
		}
	}
	if d.ConfigError != "" {
		notes = append(notes, "The configuration file is refused, the last good one is in force: "+d.ConfigError)
	}
	return writeTable(w, "POOL PATH STATE SIZE FREE ALLOCATED AVAILABLE VOLUMES QUOTA", rows, notes)
}

// maxNodes is how many nodes a note names.
const maxNodes = 3

// otherNodesNote says what it may mean that volumes were made on other nodes, "" if
// none were.
func (d Disk) otherNodesNote() string {
	volumes, names := 0, []string{}
	for i, n := range d.OtherNodes {
		volumes += n.Volumes
		if i < maxNodes {
			names = append(names, n.String())
		}
	}
	if volumes == 0 {
		return ""
	}
	if more := len(d.OtherNodes) - maxNodes; more > 0 {
		names = append(names, fmt.Sprintf("and %d more nodes", more))
	}
	return fmt.Sprintf("volumes that were made on another node: %d (%s). That is right if the disk was moved here, or this node renamed: their PersistentVolumes name this node then (hostdir volumes pv). "+
		"If this machine is a clone, they take room and belong to nobody: see \"A node was cloned\" in docs/how-to/troubleshooting.md", volumes, strings.Join(names, ", "))
}

func (d Disk) quotaCell() string {
	if d.Quota == NoQuota {
		return "advisory"
	}
	return cmp.Or(string(d.Quota), unknown)
}

// WriteTable writes the volumes for people. The counts' ages are as of now.
func (v Volumes) WriteTable(w io.Writer, now time.Time) error {
	var rows [][]string
	for _, volume := range v.Volumes {
		rows = append(rows, volume.row(now))
	}
	return writeTable(w, "MADE-FOR VOLUME POOL NODE-PATH SIZE USED COUNTED QUOTA", rows, nil)
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
		size, counted = config.FormatSize(v.CapacityBytes), "not yet"
	}
	if v.Used != nil {
		used, counted = config.FormatSize(v.Used.Bytes), formatAge(now.Sub(v.Used.At))+" ago"
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
		return string(v.Quota) + ", not in force: see hostdir disks"
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
	return config.FormatSize(*n)
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
