package deploy_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write deploy/testdata/*.rendered.yaml anew")

// TestGolden shows in a diff what a change of the chart does to installations that are
// not the default one.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values (%v)", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".values.yaml")
		t.Run(filepath.Base(name), func(t *testing.T) {
			values, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, refusal := render(t, string(values), "--kube-version", "1.30.0")
			if refusal != "" {
				t.Fatal(refusal)
			}
			decode(t, got)
			golden := name + ".rendered.yaml"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got); if it should be so, run go test ./deploy -run TestGolden -update:\n%s", golden, diff)
			}
		})
	}
}
