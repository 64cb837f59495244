package deploy_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	released   = "1.2.3"
	repository = "registry.example.com/hostdir"
)

// What `make dist` makes is whole, says one version everywhere, and is the same when it is made elsewhere. Of the
// platforms it is this machine's: the others differ in two variables.
func TestRelease(t *testing.T) {
	platform := "linux-" + runtime.GOARCH
	folder := dist(t, ".", platform)
	sums := checkSums(t, folder)
	t.Run("is whole", func(t *testing.T) {
		want := []string{"hostdir-" + released + ".tgz", "hostdir-" + released + "-image.tar", "hostdir-" + platform + ".tar.gz", "kubectl-hostdir-" + platform + ".tar.gz"}
		for _, program := range []string{"hostdir", "hostdir-controller", "kubectl-hostdir"} {
			want = append(want, program+"-"+platform+".cdx.json")
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(sums))); diff != "" {
			t.Error(diff)
		}
	})
	programs := map[string][]byte{} // by their names
	for _, archive := range []string{"hostdir-", "kubectl-hostdir-"} {
		files := unpack(t, filepath.Join(folder, archive+platform+".tar.gz"))
		if len(files["LICENSE"]) == 0 {
			t.Errorf("%s has no LICENSE", archive)
		}
		delete(files, "LICENSE")
		maps.Copy(programs, files)
	}
	t.Run("has the programs", func(t *testing.T) { checkPrograms(t, programs) })
	t.Run("says what is in them", func(t *testing.T) {
		for name, program := range programs {
			checkModules(t, program, filepath.Join(folder, name+"-"+platform+".cdx.json"))
		}
	})
	t.Run("has the chart", func(t *testing.T) {
		manifests, err := exec.Command(helm(t), "template", "hostdir", filepath.Join(folder, "hostdir-"+released+".tgz")).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"image: \"" + repository + ":" + released + "\"", "app.kubernetes.io/version: " + released + "\n"} {
			if !strings.Contains(string(manifests), want) {
				t.Errorf("the chart renders no %s", want)
			}
		}
	})
	t.Run("has the same programs in the image", func(t *testing.T) {
		checkImage(t, filepath.Join(folder, "hostdir-"+released+"-image.tar"), programs)
	})
	t.Run("is the same elsewhere", func(t *testing.T) {
		elsewhere := t.TempDir() // without git, with other times and rights
		for _, tree := range []string{"cmd", "pkg", "deploy"} {
			if err := os.CopyFS(filepath.Join(elsewhere, tree), os.DirFS(filepath.Join("..", tree))); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"go.mod", "go.sum", "LICENSE"} {
			text, err := os.ReadFile(filepath.Join("..", name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(elsewhere, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(sums, checkSums(t, dist(t, filepath.Join(elsewhere, "deploy"), platform))); diff != "" {
			t.Errorf("checksums here (-) and elsewhere (+): %s", diff)
		}
	})
}

// dist makes a release for a platform with the script in a folder.
func dist(t *testing.T, deploy, platform string) string {
	t.Helper()
	folder := t.TempDir()
	// What an earlier version has left there is no part of this one.
	if err := os.WriteFile(filepath.Join(folder, "hostdir-1.0.0.tgz"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs(filepath.Join(deploy, "dist"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, "--platform", platform, "v"+released, folder)
	cmd.Env = append(os.Environ(), "HELM="+helm(t), "REPOSITORY="+repository)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return folder
}

// checkSums compares the files of a release with its SHA256SUMS, and returns that by the files' names.
func checkSums(t *testing.T, folder string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		sums[name] = sum
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(folder, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); f.Name() != "SHA256SUMS" {
			found[f.Name()] = hex.EncodeToString(sum[:])
		}
	}
	if diff := cmp.Diff(found, sums); diff != "" {
		t.Errorf("files (-) and SHA256SUMS (+): %s", diff)
	}
	return sums
}

// unpack returns the files of an archive by their paths.
func unpack(t *testing.T, path string) map[string][]byte {
	t.Helper()
	archive, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	var in io.Reader = archive
	if !strings.HasSuffix(path, ".tar") {
		if in, err = gzip.NewReader(archive); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return files(t, in)
}

func files(t *testing.T, archive io.Reader) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for in := tar.NewReader(archive); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if all[header.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(header.Name, "hostdir") && header.Mode&0o111 == 0 && !strings.Contains(header.Name, "/") {
			t.Errorf("%s cannot be executed: its mode is %o", header.Name, header.Mode)
		}
	}
}

// checkPrograms runs each, and looks that it needs nothing of the system.
func checkPrograms(t *testing.T, programs map[string][]byte) {
	if diff := cmp.Diff([]string{"hostdir", "hostdir-controller", "kubectl-hostdir"}, slices.Sorted(maps.Keys(programs))); diff != "" {
		t.Fatal(diff)
	}
	for name, content := range programs {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, content, 0o700); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(path, "--version").CombinedOutput(); err != nil || !slices.Contains(strings.Fields(string(out)), released) {
			t.Errorf("%s --version: %v, %s", name, err, out)
		}
		binary, err := elf.NewFile(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range binary.Progs {
			if p.Type == elf.PT_INTERP {
				t.Errorf("%s is not static", name)
			}
		}
	}
}

// checkModules compares a program's modules with those of its bill of materials.
func checkModules(t *testing.T, program []byte, path string) {
	t.Helper()
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{info.Main.Path + " v" + released, "std " + info.GoVersion}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		want = append(want, m.Path+" "+m.Version)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type component struct{ Name, Version string }
	var bom struct {
		BOMFormat  string
		Metadata   struct{ Component component }
		Components []component
	}
	if err := json.Unmarshal(text, &bom); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range append(bom.Components, bom.Metadata.Component) {
		got = append(got, c.Name+" "+c.Version)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || bom.BOMFormat != "CycloneDX" {
		t.Errorf("modules in the program (-) and in %s (+), a %s: %s", filepath.Base(path), bom.BOMFormat, diff)
	}
}

// checkImage follows the image's archive down to the programs in its layer. deploy/oci has the tests of all between.
func checkImage(t *testing.T, path string, programs map[string][]byte) {
	blobs := unpack(t, path)
	if !bytes.Contains(blobs["index.json"], []byte(repository+":"+released)) {
		t.Errorf("the image's name is not in %s", blobs["index.json"])
	}
	var layers []map[string][]byte
	for name, blob := range blobs {
		if zip, err := gzip.NewReader(bytes.NewReader(blob)); strings.HasPrefix(name, "blobs/") && err == nil {
			layers = append(layers, files(t, zip))
		}
	}
	if len(layers) != 1 {
		t.Fatalf("there are %d layers, want one", len(layers))
	}
	summary := func(programs map[string][]byte) map[string]string {
		sums := map[string]string{}
		for name, content := range programs {
			if name != "kubectl-hostdir" {
				sums[name] = fmt.Sprintf("%x", sha256.Sum256(content))
			}
		}
		return sums
	}
	if diff := cmp.Diff(summary(programs), summary(layers[0])); diff != "" {
		t.Errorf("programs of the archives (-) and of the image (+): %s", diff)
	}
}
