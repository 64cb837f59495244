package main

import (
	"encoding/json"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The image is the one that the Dockerfile makes.
func TestImageIsTheDockerfiles(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	dockerfile := strings.ReplaceAll(string(text), "$VERSION", "1.2.3")
	want := image("1.2.3", "amd64", "bin")

	labels := map[string]string{}
	for _, l := range regexp.MustCompile(`(org\.\S+)="([^"]*)"`).FindAllStringSubmatch(dockerfile, -1) {
		labels[l[1]] = l[2]
	}
	if diff := cmp.Diff(labels, want.Labels); diff != "" {
		t.Errorf("labels of the Dockerfile (-) and here (+): %s", diff)
	}

	var entrypoint []string
	line := regexp.MustCompile(`(?m)^ENTRYPOINT (.*)$`).FindStringSubmatch(dockerfile)
	if line == nil {
		t.Fatal("the Dockerfile has no ENTRYPOINT")
	}
	if err := json.Unmarshal([]byte(line[1]), &entrypoint); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(entrypoint, want.Entrypoint); diff != "" {
		t.Errorf("the entrypoint of the Dockerfile (-) and here (+): %s", diff)
	}

	var programs, files []string
	for _, f := range regexp.MustCompile(`(?m)^COPY --from=build (.*) /$`).FindStringSubmatch(dockerfile)[1:] {
		for _, p := range strings.Fields(f) {
			programs = append(programs, path.Base(p))
		}
	}
	for _, f := range want.Files {
		files = append(files, f.Path)
	}
	if diff := cmp.Diff(programs, files); diff != "" {
		t.Errorf("programs of the Dockerfile (-) and here (+): %s", diff)
	}
}
