package metrics

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/plugin"
	"github.com/hostdir/hostdir/tests/reference"
)

// TestDocsTellLabels compares kinds and labels with what a scrape has of a disk, one
// that cannot be used, a volume and a call.
func TestDocsTellLabels(t *testing.T) {
	plugin.RequireRoot(t)
	good := t.TempDir()
	file := filepath.Join(t.TempDir(), "config.yaml")
	pools := fmt.Appendf(nil, "pools: [{name: default, paths: [%q, %q]}]", good, filepath.Join(good, "../absent"))
	if err := os.WriteFile(file, pools, 0o600); err != nil {
		t.Fatal(err)
	}
	m := &Metrics{Store: start(t, file), Calls: &Calls{}}
	create(t, m.Store, "default", "www-web-0")
	m.Calls.Done("CreateVolume", "OK", time.Millisecond)

	const page = "reference/metrics.md"
	told, kinds := map[string][]string{}, map[string]string{}
	for _, heading := range []string{"The plugin", "Disks", "Volumes"} {
		section, _, _ := strings.Cut(reference.Section(t, page, heading), "\n####")
		common := regexp.MustCompile("All have the labels (`[^:.]*`)[:.]").FindStringSubmatch(section)
		for _, row := range reference.Rows(t, page, heading, "Metric") {
			name := reference.Names(row[0])[0]
			if kinds[name] = "gauge"; strings.HasSuffix(row[1], "a counter") {
				kinds[name] = "counter"
			}
			if common == nil {
				kinds[name] = row[1]
				told[name] = reference.Names(row[2])
				continue
			}
			told[name] = reference.Names(common[1])
			if own := regexp.MustCompile("its label (`[a-z]+`)").FindStringSubmatch(row[1]); own != nil {
				told[name] = append(told[name], reference.Names(own[1])...)
			}
		}
	}
	for name, family := range scrape(t, m) {
		if len(family.GetMetric()) == 0 {
			continue
		}
		var has []string
		for _, l := range family.GetMetric()[0].GetLabel() {
			has = append(has, l.GetName())
		}
		slices.Sort(has)
		slices.Sort(told[name])
		if !slices.Equal(told[name], has) {
			t.Errorf("docs/%s tells the labels %q of %s, which has %q", page, told[name], name, has)
		}
		if kind := strings.ToLower(family.GetType().String()); kind != kinds[name] {
			t.Errorf("docs/%s tells that %s is a %s, it is a %s", page, name, kinds[name], kind)
		}
		delete(told, name)
	}
	for _, uncounted := range []string{"hostdir_volume_used_bytes", "hostdir_volume_used_inodes", "hostdir_volume_counted_timestamp_seconds"} {
		delete(told, uncounted) // this volume was not counted yet; they have the labels of the others
	}
	for name := range told {
		t.Errorf("docs/%s tells of %s, which is not there", page, name)
	}
}
