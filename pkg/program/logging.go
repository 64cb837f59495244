package program

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strconv"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
)

// logging sets up klog, which the libraries use as well, to write to standard
// error.
type logging struct {
	verbosity int
	format    string
}

func (l *logging) addFlags(fs *pflag.FlagSet) {
	fs.IntVarP(&l.verbosity, "v", "v", 2, "how much to log: 0 errors and changes, 4 every call")
	fs.StringVar(&l.format, "logging-format", "text", "how to log: text or json")
}

func (l *logging) validate() error {
	if l.format != "text" && l.format != "json" {
		return fmt.Errorf("--logging-format=%s is neither text nor json", l.format)
	}
	return nil
}

func (l *logging) setUp() {
	fs := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(fs)
	// The flag exists and the value is a number: this cannot fail.
	_ = fs.Set("v", strconv.Itoa(l.verbosity))
	if l.format == "json" {
		level := slog.Level(-l.verbosity) // logr's V(4) is slog's level -4
		klog.SetSlogLogger(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	}
}
