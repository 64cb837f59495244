//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// localPathDirs is where local-path-provisioner makes its directories on a node, as in k3s.
const localPathDirs = "/var/lib/rancher/k3s/storage"

// belongings is what a replica has that a careless copy loses, and a line for each of its
// starts. The first replica has 100,000 files besides.
const belongings = signed + `
cd /data
[ -e link ] || {
  mkdir deep; echo deep > deep/file; chown 1001:1002 deep/file
  mkdir -m 1777 sticky; mkdir group; chown 0:1002 group; chmod 2775 group
  echo root > root; chmod 600 root
  echo other > other; chown 1001:1002 other; chmod 4750 other
  echo none > none; chown 65534:65534 none; chmod 000 none
  echo odd > "$(printf 'odd\n \377')"
  ln -s deep/file symlink; ln -s /nowhere dangling; chown -h 1001:1002 dangling
  mkfifo -m 640 fifo
  dd if=/dev/urandom of=sparse bs=4k count=1 seek=1024; truncate -s 8M sparse
  if [ $POD = web-0 ]; then
    mkdir many; (cd many; mkdir $(seq 0 99))
    awk 'BEGIN { for (i = 0; i < 100000; i++) { f = "many/" i % 100 "/" i; print i >f; close(f) } }'
  fi
  ln deep/file link
}
date >> starts
touch /tmp/ready`

// localPathVolumesMove imports what local-path-provisioner made, while that runs on.
func localPathVolumesMove(t *test) {
	class, _, stopProvisioner := t.localPath()
	s := t.localPathSet(class)

	s.isKilled()
	s.imports()
	s.holds("imported,", t.directory)
	t.kubectl("patch", "storageclass", class, "-p", `{"allowVolumeExpansion": true}`)
	s.growsTo(2048 * mebibyte)

	s.stop()
	s.mustCommand("--undo", "--yes")
	for claim, was := range s.volumes {
		if pv := t.volumeOf(claim); pv.Spec.HostPath == nil || pv.Spec.HostPath.Path != was.Spec.HostPath.Path ||
			pv.Spec.PersistentVolumeReclaimPolicy != was.Spec.PersistentVolumeReclaimPolicy || !maps.Equal(pv.Annotations, was.Annotations) {
			t.Errorf("undone, claim %s is bound to %v %+v, before to %v %+v", claim, pv.ObjectMeta, pv.Spec, was.ObjectMeta, was.Spec)
		}
	}
	s.holds("undone,", func(claim string) string { return s.volumes[claim].dir })

	s.stop()
	s.imports()
	s.mustCommand("--finish", "--yes")
	s.holds("finished,", t.directory)
	checkFindsNothing(t)

	s.stop()
	t.kubectl("delete", "statefulset/web")
	for claim, was := range s.volumes {
		t.reclaim(was.Name, corev1.PersistentVolumeReclaimDelete)
		t.deleteClaim(claim)
		await(t, "the volume is gone", volumes, named(was.Name), none)
	}
	t.emptyTrash()
	if said := stopProvisioner(); !strings.Contains(said, "Creating volume") || strings.Contains(said, "Deleting volume") {
		t.Errorf("local-path-provisioner was to make volumes, and to leave hostdir's alone; it says\n%s", said)
	}
}

// A localPathSet is a StatefulSet whose replicas have their belongings in volumes of
// local-path-provisioner's, and are stopped.
type localPathSet struct {
	*oldSet
	ids     map[string]string
	starts  int // of each replica
	volumes map[string]localPathVolume
}

// A localPathVolume is as it was before anything was imported.
type localPathVolume struct {
	*corev1.PersistentVolume
	node string
	dir  string // on this machine
	has  inventory
}

func (t *test) localPathSet(class string) *localPathSet {
	t.Helper()
	s := &localPathSet{oldSet: t.oldSet(class, belongings), starts: 1, volumes: map[string]localPathVolume{}}
	spec := &s.set.Spec.Template.Spec
	spec.Affinity = apart(s.set.Spec.Selector.MatchLabels)
	spec.Containers[0].ReadinessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"test", "-e", "/tmp/ready"}}},
		PeriodSeconds: 1,
	}
	s.set.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("1Gi")
	t.createStatefulSet(s.set)
	s.ids = s.run()
	for i := range t.nodes {
		v := localPathVolume{PersistentVolume: t.volumeOf(s.claim(i)), node: t.podRuns(s.pod(i)).Spec.NodeName}
		if v.Spec.HostPath == nil || !strings.HasPrefix(v.Spec.HostPath.Path, localPathDirs+"/") {
			t.Fatalf("local-path-provisioner made %+v", v.Spec)
		}
		v.dir = filepath.Join(t.files[v.node], v.Spec.HostPath.Path)
		for name, attribute := range map[string]string{".": "user.top", "deep": "user.folder", "root": "user.file", "other": "trusted.file"} {
			t.check(unix.Lsetxattr(filepath.Join(v.dir, name), attribute, []byte("of "+name), 0))
		}
		s.volumes[s.claim(i)] = v
	}
	s.stop()
	for claim, v := range s.volumes {
		v.has = t.inventory(v.dir)
		t.Logf("claim %s has %d files", claim, len(v.has))
		s.volumes[claim] = v
	}
	return s
}

// isKilled kills `kubectl hostdir import` of all replicas' volumes at each step.
func (s *localPathSet) isKilled() {
	s.Helper()
	began := time.Now()
	k := &killed{oldSet: s.oldSet, what: []string{"statefulset/web"}, by: theCommand}
	inodes := map[string]string{} // of the directories
	for claim, v := range s.volumes {
		k.claims = append(k.claims, claim)
		inodes[claim] = s.onNode(s, v.node, "stat", "--format=%i", v.Spec.HostPath.Path)
	}
	slices.Sort(k.claims)
	k.files = func() (all string) {
		for _, claim := range k.claims {
			all += s.inMoved(s.volumes[claim].node, localPathDirs, inodes[claim], `find . -printf '%i %p %y %m %U:%G %s %n %T@\n' | sort | md5sum`)
		}
		return all
	}
	k.atEachWrite()
	s.Logf("killed and given again in %.0f s", time.Since(began).Seconds())
}

// imports holds that the claims have hostdir's volumes afterwards, on the same nodes.
func (s *localPathSet) imports() {
	s.Helper()
	began := time.Now()
	s.mustCommand("--yes")
	s.Logf("imported in %.1f s", time.Since(began).Seconds())
	for claim, was := range s.volumes {
		pv := s.volumeOf(claim)
		if pv.Name != was.Name || pv.Spec.CSI == nil || pv.Spec.ClaimRef.UID != was.Spec.ClaimRef.UID || s.nodeOf(pv) != was.node {
			s.Errorf("claim %s is bound to %s %+v", claim, pv.Name, pv.Spec)
		}
		if _, err := os.Lstat(was.dir); !errors.Is(err, fs.ErrNotExist) {
			s.Errorf("what was moved is still at %s (%v)", was.dir, err)
		}
	}
}

// holds runs the replicas, which must have all that they had, and go on with it.
func (s *localPathSet) holds(when string, where func(claim string) string) {
	s.Helper()
	s.same(when, s.ids)
	s.starts++
	for i := range s.nodes {
		claim := s.claim(i)
		if had, has := s.volumes[claim].has, s.inventory(where(claim)); !maps.Equal(has, had) {
			s.Errorf("%s claim %s has changed:%s", when, claim, has.differs(had))
		}
		if n := s.exec(s.pod(i), "grep", "-c", "", "/data/starts"); n != strconv.Itoa(s.starts) {
			s.Errorf("%s %s has noted %s of its %d starts", when, s.pod(i), n, s.starts)
		}
	}
}

// localPath runs local-path-provisioner on this machine, and makes a class of it. stop ends
// it, which the end of the test does as well, and returns what it has said.
func (t *test) localPath() (class string, provisioner *os.Process, stop func() (said string)) {
	t.Helper()
	const namespace, config = "kube-system", "local-path-config"
	ctx := context.Background()
	class = t.namespace + "-local-path"
	for _, node := range t.nodes {
		t.outside = append(t.outside, func() { t.onNode(t, node, "find", localPathDirs, "-mindepth", "1", "-delete") })
	}
	_, err := t.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: config}, Data: map[string]string{
		"config.json": `{"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": ["` + localPathDirs + `"]}]}`,
		"setup":       `mkdir -m 0777 -p "$VOL_DIR"`,
		"teardown":    `rm -rf "$VOL_DIR"`,
		"helperPod.yaml": `{apiVersion: v1, kind: Pod, metadata: {name: helper-pod}, spec: {containers: [` +
			`{name: helper-pod, image: "docker.io/library/busybox:1.35", imagePullPolicy: Never}]}}`,
	}}, metav1.CreateOptions{})
	t.check(err)
	t.outside = append(t.outside, func() {
		t.check(t.CoreV1().ConfigMaps(namespace).Delete(ctx, config, metav1.DeleteOptions{}))
	})
	mode := storagev1.VolumeBindingWaitForFirstConsumer
	_, err = t.StorageV1().StorageClasses().Create(ctx, &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: "rancher.io/local-path", VolumeBindingMode: &mode,
	}, metav1.CreateOptions{})
	t.check(err)
	t.outside = append(t.outside, func() {
		t.check(t.StorageV1().StorageClasses().Delete(ctx, class, metav1.DeleteOptions{}))
	})

	var output bytes.Buffer
	cmd := exec.Command("local-path-provisioner", "start", "--namespace", namespace, "--configmap-name", config, "--service-account-name", "default")
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	t.check(cmd.Start())
	stop = sync.OnceValue(func() string {
		cmd.Process.Kill()
		cmd.Wait()
		return output.String()
	})
	t.outside = append(t.outside, func() {
		if said := stop(); t.Failed() {
			t.Logf("local-path-provisioner says\n%s", said)
		}
	})
	return class, cmd.Process, stop
}

// An inventory says of each file in a directory, by its path there, all that it has and
// is, but for its times of access and change.
type inventory map[string]string

// inventory leaves out the file "starts", to which the replicas write.
func (t *test) inventory(root string) inventory {
	t.Helper()
	all := inventory{}
	t.check(filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, root)
		if err != nil || name == "/starts" {
			return err
		}
		all[name], err = described(path)
		return err
	}))
	return all
}

func described(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "", err
	}
	is := fmt.Sprintf("inode %d, mode %o, owner %d:%d, %d links, %d bytes in %d blocks, of %d.%09d",
		st.Ino, st.Mode, st.Uid, st.Gid, st.Nlink, st.Size, st.Blocks, st.Mtim.Sec, st.Mtim.Nsec)
	names := make([]byte, 4096)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		return "", err
	}
	for _, name := range slices.Sorted(strings.SplitSeq(string(names[:n]), "\x00")) {
		value := make([]byte, 4096)
		if name == "" {
			continue
		}
		if n, err = unix.Lgetxattr(path, name, value); err != nil {
			return "", err
		}
		is += fmt.Sprintf(", %s=%q", name, value[:n])
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		data, err := os.ReadFile(path)
		return fmt.Sprintf("%s, sha256 %x", is, sha256.Sum256(data)), err
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		return is + ", to " + target, err
	}
	return is, nil
}

// differs describes the first of the files that are not as they were.
func (now inventory) differs(before inventory) string {
	const most = 10
	var text strings.Builder
	said := 0
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if now[name] != before[name] && said < most {
			fmt.Fprintf(&text, "\n%q was %s\nand is %s", name, before[name], now[name])
			said++
		}
	}
	fmt.Fprintf(&text, "\n%d files, before %d", len(now), len(before))
	return text.String()
}
