package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
)

// bar shows how long work comes along: on a terminal in one line, else line by line.
type bar struct {
	w     io.Writer
	what  string
	shown bool
}

func (b *bar) show(p *admin.Progress) {
	if p == nil {
		return
	}
	if isTerminal(b.w) {
		fmt.Fprintf(b.w, "\r\x1b[K%s: %s", b.what, progressText(p))
	} else {
		fmt.Fprintf(b.w, "%s: %s\n", b.what, progressText(p))
	}
	b.shown = true
}

// end leaves the line.
func (b *bar) end() {
	if b.shown && isTerminal(b.w) {
		fmt.Fprintln(b.w)
	}
}

const barWidth = 20

// progressText is "copying [####      ] 20% (1Gi of 5Gi, 1234 of 9999 files)".
func progressText(p *admin.Progress) string {
	if p == nil {
		return ""
	}
	done, total := p.Bytes, p.TotalBytes
	if total == 0 || done == 0 {
		done, total = p.Files, p.TotalFiles
	}
	text := p.Phase
	if total > 0 {
		part := min(1, float64(done)/float64(total))
		full := int(part * barWidth)
		text += fmt.Sprintf(" [%s%s] %d%%", strings.Repeat("#", full), strings.Repeat(" ", barWidth-full), int(part*100))
	}
	text += " (" + amount(config.FormatSize, p.Bytes, p.TotalBytes) + ", " + amount(func(n int64) string { return fmt.Sprint(n) }, p.Files, p.TotalFiles) + " files)"
	return text
}

func amount(format func(int64) string, done, total int64) string {
	if total == 0 {
		return format(done)
	}
	return format(done) + " of " + format(total)
}
