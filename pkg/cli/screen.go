package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
)

// maxDisks is how many disks a screen shows: those with the least room.
const maxDisks = 20

// overview writes one screen for people.
func (o *output) overview(w io.Writer, v *overview) error {
	colour := hasColour(w)
	fmt.Fprintln(w, paint(colour, v.tone(), v.healthLine()))
	if len(v.Disks) > 0 {
		shown := slices.Clone(v.Disks)
		if o.format != "wide" && len(shown) > maxDisks {
			slices.SortStableFunc(shown, func(a, b nodeDisk) int { return cmp.Compare(roomLeft(a), roomLeft(b)) })
			shown = shown[:maxDisks]
		}
		fmt.Fprintln(w)
		if err := o.table(w, overviewRows(shown)); err != nil {
			return err
		}
		if more := len(v.Disks) - len(shown); more > 0 {
			fmt.Fprintf(w, "Disks with more room: %d (-o wide shows all)\n", more)
		}
	}
	for _, p := range v.Problems {
		fmt.Fprintf(w, "\n%s\n    %s\n", paint(colour, badTone, p.About+": "+oneLine(p.Says)), p.Mend)
	}
	if len(v.Unseen) > 0 {
		fmt.Fprintln(w)
		v.Unseen.write(w)
	}
	return nil
}

func (v *overview) tone() tone {
	switch v.Health {
	case isWell:
		return goodTone
	case isWrong:
		return badTone
	}
	return warmTone
}

func (v *overview) healthLine() string {
	has := fmt.Sprintf("nodes: %d, disks: %d, volumes: %d", v.Nodes, len(v.Disks), v.Volumes)
	switch v.Health {
	case isWell:
		return "hostdir is well; " + has
	case isWrong:
		return fmt.Sprintf("hostdir has problems: %d; %s", len(v.Problems), has)
	}
	return "hostdir could not be looked at in full; " + has
}

// roomLeft is which part of a disk can still be given; less than that of any other if
// it cannot be used.
func roomLeft(d nodeDisk) float64 {
	if d.State != admin.Ready || d.SizeBytes == nil {
		return -1
	}
	return float64(d.AvailableBytes) / float64(max(1, *d.SizeBytes))
}

// diskTone is that of a disk that fills up, or does not take part.
func diskTone(d nodeDisk) tone { return toneOf(1 - roomLeft(d)) }

// diskBarCells is wide enough for three parts.
const diskBarCells = 20

func overviewRows(disks []nodeDisk) rows {
	r := rows{header: []string{"NODE", "POOL", "DISK", "STATE", "USED # PROMISED = FREE .", "USED", "PROMISED", "FREE", "VOLUMES", "QUOTA"}}
	for _, d := range disks {
		bar, used, promised, free := unknown, unknown, unknown, unknown
		if d.SizeBytes != nil && d.FreeBytes != nil {
			holds := *d.SizeBytes - *d.FreeBytes
			kept := max(0, *d.FreeBytes-d.AvailableBytes)
			bar = drawBar(diskBarCells, *d.SizeBytes, holds, kept)
			used, promised, free = config.FormatSize(holds), config.FormatSize(kept), config.FormatSize(d.AvailableBytes)
		}
		quota := string(d.Quota)
		if d.Quota == admin.NoQuota {
			quota = "advisory"
		}
		r.cells = append(r.cells, []string{d.Node, d.Pool, d.Path, string(d.State), bar, used, promised, free, fmt.Sprint(d.Volumes), quota})
		r.names = append(r.names, d.Node+":"+d.Path)
		r.tones = append(r.tones, diskTone(d))
	}
	return r
}

// oneLine keeps what others chose from breaking the screen.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
