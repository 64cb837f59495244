//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/hostdir/hostdir/pkg/cli"
)

// see runs `kubectl hostdir` as a person does, in the test's namespace.
func (t *test) see(stdin string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	streams := genericiooptions.IOStreams{In: strings.NewReader(stdin), Out: &out, ErrOut: &errs}
	status = cli.Run(context.Background(), "dev", streams, append([]string{"--namespace", t.namespace}, args...))
	return out.String(), errs.String(), status
}

// viewed is a volume as `kubectl hostdir volumes` tells it.
type viewed struct {
	Namespace, Claim, Status, PersistentVolume, ID, Node, Pool, Path, Quota string

	Pods      []string
	SizeBytes int64
	UsedBytes *int64
}

func (t *test) viewed(args ...string) ([]viewed, string) {
	t.Helper()
	stdout, stderr, status := t.see("", append([]string{"volumes", "-o", "json"}, args...)...)
	var all []viewed
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || status != cli.OK {
		t.Fatalf("status %d, %v: %s%s", status, err, stdout, stderr)
	}
	return all, stderr
}

// pluginShowsClaims looks at a claim in all ways there are.
func pluginShowsClaims(t *test) {
	t.createClaim(newClaim("data"))
	t.createPod(newPod("web", "data", "echo treasure > /data/file"))
	t.podRuns("web")
	volume := t.volumeOf("data")
	node := t.nodeOf(volume)
	inside := strings.TrimPrefix(t.directory("data"), t.files[node])

	all, stderr := t.viewed()
	if len(all) != 1 || strings.Contains(stderr, "Could not") {
		t.Fatalf("volumes: %+v, %s", all, stderr)
	}
	size := volume.Spec.Capacity[corev1.ResourceStorage]
	v := all[0]
	if v.Claim != "data" || v.Namespace != t.namespace || v.Node != node || v.PersistentVolume != volume.Name || v.ID != volume.Spec.CSI.VolumeHandle ||
		v.Pool == "" || v.Quota == "" || v.SizeBytes != size.Value() || len(v.Pods) != 1 || v.Pods[0] != "web" {
		t.Errorf("volumes: %+v", v)
	}
	if filepath.Clean(v.Path) != inside {
		t.Errorf("volumes says that the data is at %s, it is at %s", v.Path, inside)
	}
	if stdout, stderr, status := t.see("", "path", "data"); status != cli.OK || stdout != node+":"+v.Path+"\n" {
		t.Errorf("path: status %d, %q %s; want %s:%s", status, stdout, stderr, node, v.Path)
	}
	stdout, stderr, status := t.see("", "show", "data")
	if status != cli.OK {
		t.Errorf("show: status %d, %s", status, stderr)
	}
	for _, words := range []string{t.namespace + "/data\n", volume.Name + "\n", v.Path + "\n", "web  ", "/data", "Scheduled"} {
		if !strings.Contains(stdout, words) {
			t.Errorf("show does not say %q:\n%s", words, stdout)
		}
	}

	t.browses("data")
	t.deletePod("web")
	t.browses("data")

	// Who has rights in the namespace alone sees what the API server shows of it.
	t.kubectl("create", "role", "tenant", "--verb=get,list", "--resource=persistentvolumeclaims,pods,events")
	t.kubectl("create", "rolebinding", "tenant", "--role=tenant", "--user="+t.namespace)
	t.eventually("the tenant has the rights", func() error {
		_, stderr, status := t.see("", "volumes", "--as", t.namespace)
		if status != cli.OK || strings.Contains(stderr, "at claims") || strings.Contains(stderr, "at pods") {
			return fmt.Errorf("status %d, %s", status, stderr)
		}
		return nil
	})
	all, stderr = t.viewed("--as", t.namespace)
	if len(all) != 1 || all[0].Claim != "data" || all[0].PersistentVolume != volume.Name || all[0].SizeBytes != size.Value() || all[0].Node != node {
		t.Errorf("a tenant sees %+v", all)
	}
	for _, words := range []string{"Could not look at PersistentVolumes: you may not", "Could not look at hostdir on the nodes: you may not"} {
		if !strings.Contains(stderr, words) {
			t.Errorf("a tenant is not told %q: %s", words, stderr)
		}
	}
	stdout, stderr, status = t.see("", "show", "data", "--as", t.namespace)
	if status != cli.OK || !strings.Contains(stdout, t.namespace+"/data\n") || !strings.Contains(stderr, "you may not") {
		t.Errorf("show for a tenant: status %d, %s%s", status, stdout, stderr)
	}
	if _, stderr, status := t.see("", "path", "data", "--as", t.namespace); status != cli.Unknown || !strings.Contains(stderr, "cannot be told") {
		t.Errorf("path for a tenant: status %d, %s", status, stderr)
	}
}

// browses looks into the claim, tries to write to it, and leaves no pod behind.
func (t *test) browses(claim string) {
	t.Helper()
	image := podSpec("").Containers[0].Image
	stdout, stderr, status := t.see("cat file; touch other || echo refused\n", "browse", claim, "--image", image)
	if status != cli.OK || stdout != "treasure\nrefused\n" {
		t.Errorf("browse: status %d, %q %s", status, stdout, stderr)
	}
	if _, stderr, status := t.see("", "browse", claim, "--image", image, "--", "false"); status != cli.Wrong {
		t.Errorf("browse: a command fails, but the status is %d, %s", status, stderr)
	}
	t.browsesOnTerminal(claim, image)
	t.eventually("no pod of browse is left", func() error {
		left, err := t.CoreV1().Pods(t.namespace).List(context.Background(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=kubectl-hostdir"})
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("%s on %s is", left.Items[0].Name, left.Items[0].Spec.NodeName)
		}
		return err
	})
}

// browsesOnTerminal does so on a terminal, which keeps its size and is as before afterwards.
func (t *test) browsesOnTerminal(claim, image string) {
	t.Helper()
	browse := fmt.Sprintf("../../bin/kubectl-hostdir browse %s --namespace %s --image %s", claim, t.namespace, image)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	terminal := exec.CommandContext(ctx, "script", "--quiet", "--return", "--command", "stty rows 33 cols 99; before=$(stty -g); "+browse+` && [ "$(stty -g)" = "$before" ] && echo as before`, "/dev/null")
	typed, err := terminal.StdinPipe()
	t.check(err)
	shown, err := terminal.StdoutPipe()
	t.check(err)
	t.check(terminal.Start())
	var all []byte
	for input := "cat file; stty size; exit\n"; ; {
		piece := make([]byte, 4096)
		n, err := shown.Read(piece)
		all = append(all, piece[:n]...)
		if err != nil {
			break
		}
		if input != "" && bytes.Contains(all, []byte("/claim # ")) { // the shell is there
			_, err := io.WriteString(typed, input)
			t.check(err)
			input = ""
		}
	}
	err = terminal.Wait()
	for _, want := range []string{"treasure\r\n", "33 99\r\n", "as before"} {
		if err != nil || !bytes.Contains(all, []byte(want)) {
			t.Errorf("browse on a terminal: %v, want %q in\n%s", err, want, all)
		}
	}
}

// overviewIsWell waits for what tests before this one have provoked to pass.
func overviewIsWell(t *test) {
	t.eventually("kubectl hostdir says that all is well", func() error {
		stdout, stderr, status := t.see("")
		if status != cli.OK || !strings.HasPrefix(stdout, "hostdir is well; ") {
			time.Sleep(time.Second)
			return fmt.Errorf("status %d: %s%s", status, stdout, stderr)
		}
		for _, node := range t.nodes {
			if !strings.Contains(stdout, "\n"+node+" ") {
				return fmt.Errorf("node %s is not shown:\n%s", node, stdout)
			}
		}
		return nil
	})
	// Without the right to look, that is what it says.
	if stdout, _, status := t.see("", "--as", t.namespace); status != cli.Unknown || !strings.Contains(stdout, "you may not") {
		t.Errorf("status %d: %s", status, stdout)
	}
}
