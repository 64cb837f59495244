package monitoring

import (
	"encoding/xml"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
)

const (
	dashboards = "../../deploy/helm/hostdir/monitoring/dashboards/"
	images     = "../../docs/images/dashboard-"
)

var redraw = flag.Bool("redraw", false, "draw the pictures in docs of the results in testdata")

// The pictures in docs are what is drawn of results that a Prometheus has returned for the
// queries of today.
func TestPictures(t *testing.T) {
	for _, name := range []string{"disks", "claims"} {
		b, err := Load(dashboards + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		r, err := LoadReading("testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Panels) != len(b.Panels) {
			t.Fatalf("the results of %s are of %d panels, it has %d: make dashboards takes new ones", name, len(r.Panels), len(b.Panels))
		}
		image := b.Draw(r)
		if *redraw {
			if err := os.WriteFile(images+name+".svg", []byte(image), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		drawn, err := os.ReadFile(images + name + ".svg")
		if err != nil {
			t.Fatal(err)
		}
		if image != string(drawn) {
			t.Errorf("%s%s.svg is not what is drawn now: go test ./tests/monitoring -args -redraw", images, name)
		}
		for d := xml.NewDecoder(strings.NewReader(image)); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}
