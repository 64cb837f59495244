package deploy_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// krewPlugin is what krew reads of a manifest.
type krewPlugin struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string         `json:"version"`
		Homepage         string         `json:"homepage"`
		ShortDescription string         `json:"shortDescription"`
		Description      string         `json:"description"`
		Platforms        []krewPlatform `json:"platforms"`
	} `json:"spec"`
}

type krewPlatform struct {
	Selector struct {
		MatchLabels map[string]string `json:"matchLabels"`
	} `json:"selector"`
	URI    string `json:"uri"`
	SHA256 string `json:"sha256"`
	Bin    string `json:"bin"`
}

// The manifest for krew has the checksum of each archive that `make dist` makes.
func TestKrewManifest(t *testing.T) {
	for _, test := range []struct{ version, want string }{
		{"v0.1.0", "v0.1.0"}, {"0.1.0-rc.1", "v0.1.0-rc.1"}, {"3ec5736-dirty", "v0.0.0-g3ec5736-dirty"},
	} {
		t.Run(test.version, func(t *testing.T) {
			folder := t.TempDir()
			sums := map[string]string{}
			for _, platform := range []string{"linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64", "windows-amd64"} {
				name := "kubectl-hostdir-" + platform + ".tar.gz"
				if err := os.WriteFile(filepath.Join(folder, name), []byte(platform), 0o600); err != nil {
					t.Fatal(err)
				}
				sum := sha256.Sum256([]byte(platform))
				sums[name] = hex.EncodeToString(sum[:])
			}
			if out, err := exec.Command("./dist", "--krew", test.version, folder).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			text, err := os.ReadFile(filepath.Join(folder, "hostdir.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			var p krewPlugin
			if err := yaml.UnmarshalStrict(text, &p); err != nil {
				t.Fatalf("%v:\n%s", err, text)
			}
			if p.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || p.Kind != "Plugin" || p.Metadata.Name != "hostdir" {
				t.Errorf("it is a %s %s %s", p.APIVersion, p.Kind, p.Metadata.Name)
			}
			semantic := regexp.MustCompile(`^v(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-[0-9A-Za-z.-]+)?$`)
			if p.Spec.Version != test.want || !semantic.MatchString(p.Spec.Version) {
				t.Errorf("version %s, want %s", p.Spec.Version, test.want)
			}
			// krew shows the short description in a column.
			if s := p.Spec.ShortDescription; s == "" || len(s) > 50 || strings.HasSuffix(s, ".") || p.Spec.Description == "" || p.Spec.Homepage == "" {
				t.Errorf("described as %q", s)
			}
			for _, platform := range p.Spec.Platforms {
				labels, archive := platform.Selector.MatchLabels, path.Base(platform.URI)
				bin := "kubectl-hostdir"
				if labels["os"] == "windows" {
					bin += ".exe"
				}
				if archive != "kubectl-hostdir-"+labels["os"]+"-"+labels["arch"]+".tar.gz" || platform.SHA256 != sums[archive] || platform.Bin != bin || !strings.Contains(platform.URI, "/"+test.want+"/") {
					t.Errorf("platform %+v, want checksum %s", platform, sums[archive])
				}
				delete(sums, archive)
			}
			if len(sums) > 0 {
				t.Errorf("krew does not know %v", sums)
			}
		})
	}
}

func TestDistOfMissingArchives(t *testing.T) {
	folder := t.TempDir()
	if out, err := exec.Command("./dist", "--krew", "v1.0.0", folder).CombinedOutput(); err == nil {
		t.Errorf("a manifest without archives: %s", out)
	}
	if _, err := os.Stat(filepath.Join(folder, "hostdir.yaml")); err == nil {
		t.Error("there is a manifest without archives")
	}
}
