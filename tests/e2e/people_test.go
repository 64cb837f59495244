//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/hostdir/hostdir/pkg/cli"
)

// The roles of the chart are enough for those who look and those who mend.
func peopleUseTheirRoles(t *test) {
	t.outside = append(t.outside, t.emptyTrash)
	viewer, operator := t.person("viewer"), t.person("operator")
	class := t.createClass(map[string]string{"trashTTL": "24h"})
	create := func() {
		claim := newClaim("precious")
		claim.Spec.StorageClassName = &class
		t.createClaim(claim)
		t.createPod(newPod("precious", "precious", signed))
	}
	create()
	t.podRuns("precious")
	pv := t.volumeOf("precious")
	node, id := t.nodeOf(pv), t.content(t.directory("precious"), "id")

	t.kubectl("delete", "pod/precious", "pvc/precious")
	await(t, "the volume is gone from Kubernetes", volumes, named(pv.Name), none)
	if trash := t.kubectlHostdir("trash", "-o", "name", "--as", viewer); !strings.Contains(trash, node+":"+pv.Name+".") {
		t.Errorf("%s is not in the trash of %s:\n%s", pv.Name, node, trash)
	}
	said := t.kubectlHostdir("undelete", t.namespace+"/precious", "--yes", "--as", operator)
	if !strings.HasPrefix(said, "volume "+pv.Spec.CSI.VolumeHandle+" is back on node "+node+" at ") {
		t.Errorf("undelete says %s", said)
	}
	manifest, err := t.hostdir(t, node, "volumes", "pv", pv.Spec.CSI.VolumeHandle, "--storage-class", class)
	t.check(err)
	file := filepath.Join(t.TempDir(), "volume.yaml")
	t.check(os.WriteFile(file, []byte(manifest), 0o600))
	t.kubectl("apply", "--as", operator, "-f", file)
	create()
	t.runsAtVolume("precious", pv, func() { t.createPod(newPod("precious", "precious", signed)) })
	if now := t.exec("precious", "cat", "/data/id"); now != id {
		t.Errorf("the pod finds %q, before there was %q", now, id)
	}

	files := t.unpack(t.kubectlHostdir("report", "--file", "-", "--as", viewer))
	for _, name := range []string{"versions.json", "configuration.yaml", "nodes/" + node + "/check.json", "logs/" + t.plugin(t, node).Name + "/hostdir.log"} {
		if !slices.Contains(files, "hostdir-report/"+name) {
			t.Errorf("the report has no %s, but %q", name, files)
		}
	}

	t.reclaim(pv.Name, corev1.PersistentVolumeReclaimDelete)
	t.kubectl("delete", "pod/precious", "pvc/precious")
	await(t, "the volume is gone again", volumes, named(pv.Name), none)
	t.kubectlHostdir("purge", t.namespace+"/precious", "--yes", "--as", operator)
}

// person returns the name of somebody who may do what the chart's ClusterRole hostdir-ROLE
// and Role hostdir-nodes allow.
func (t *test) person(role string) string {
	t.Helper()
	name := t.namespace + "-" + role
	t.outside = append(t.outside, func() {
		t.kubectl("delete", "--ignore-not-found", "clusterrolebinding", name)
		t.kubectl("delete", "--ignore-not-found", "--namespace", home, "rolebinding", name)
	})
	t.kubectl("create", "clusterrolebinding", name, "--clusterrole=hostdir-"+role, "--user="+name)
	t.kubectl("create", "--namespace", home, "rolebinding", name, "--role=hostdir-nodes", "--user="+name)
	return name
}

// kubectlHostdir runs the plugin of kubectl and returns what it prints.
func (t *test) kubectlHostdir(args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if status := cli.Run(context.Background(), "dev", genericiooptions.IOStreams{In: strings.NewReader(""), Out: &stdout, ErrOut: &stderr}, args); status != cli.OK {
		t.Fatalf("kubectl hostdir %q ends with %d: %s%s", args, status, &stderr, &stdout)
	}
	return stdout.String()
}

// unpack returns the names of the files in an archive.
func (t *test) unpack(archive string) (names []string) {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(archive))
	t.check(err)
	for files := tar.NewReader(z); ; {
		file, err := files.Next()
		if err == io.EOF {
			return names
		}
		t.check(err)
		names = append(names, file.Name)
	}
}
