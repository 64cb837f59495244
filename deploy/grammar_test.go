package deploy_test

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/mounter"
)

// TestOneGrammar holds the chart and the program to the same verdict on the same
// values: what the chart takes and the program refuses would be a pod that does not
// start.
func TestOneGrammar(t *testing.T) {
	helm(t)
	pool := func(fields string) string { return "pools: [{name: default, paths: [/data/a], " + fields + "}]" }
	paths := func(list string) string { return "pools: [{name: default, paths: [" + list + "]}]" }
	class := func(fields string) string { return "storageClasses: [{name: x, " + fields + "}]" }
	snapshotClass := func(parameters string) string {
		return "snapshots: {classes: [{name: x, parameters: {" + parameters + "}}]}"
	}
	tests := []struct {
		values string
		ok     bool
	}{
		{pool(`reserve: "5%"`), true},
		{pool(`reserve: "0%"`), true},
		{pool(`reserve: "99.5%"`), true},
		{pool(`reserve: "100%"`), false},
		{pool(`reserve: "-5%"`), false},
		{pool(`reserve: "%"`), false},
		{pool(`reserve: 10Gi`), true},
		{pool(`reserve: 10G`), true},
		{pool(`reserve: 1.5Gi`), true},
		{pool(`reserve: 500k`), true},
		{pool(`reserve: 500m`), false},
		{pool(`reserve: 10K`), false},
		{pool(`reserve: 10gi`), false},
		{pool(`reserve: 10GB`), false},
		{pool(`reserve: 7Ei`), true},
		{pool(`reserve: 8Ei`), false},
		{pool(`reserve: "1073741824"`), true},
		{pool(`reserve: "-1"`), false},
		{pool(`overcommit: 1.5`), true},
		{pool(`overcommit: 1000`), true},
		{pool(`overcommit: 1001`), false},
		{pool(`overcommit: 0`), false},
		{pool(`overcommit: -1`), false},
		{pool(`trashTTL: 24h`), true},
		{pool(`trashTTL: 1h30m`), true},
		{pool(`trashTTL: "0"`), true},
		{pool(`trashTTL: 1.5h`), true},
		{pool(`trashTTL: 7d`), false},
		{pool(`trashTTL: 24`), false},
		{pool(`trashTTL: -1h`), false},
		{pool(`trashTTL: 24 h`), false},
		{pool(`minTrashTTL: 90m`), true},
		{pool(`minTrashTTL: soon`), false},
		{pool(`size: 10Gi`), false},

		{paths(`/data/a, /data/b`), true},
		{paths(`/data/a, /data/a`), false},
		{paths(`/data, /data/fast`), false},
		{paths(`/data/fast, /data`), false},
		{paths(`/data, /database`), true},
		{paths(`"/mnt/disks/*"`), true},
		{paths(`"/mnt/disks/nvme[0-9]"`), true},
		{paths(`"/mnt/disks/nvme[^0-9a]"`), true},
		{paths(`"/mnt/disks/["`), false},
		{paths(`"/mnt/disks/[]"`), false},
		{paths(`"/mnt/disks/[a-]"`), false},
		{paths(`"/mnt/disks/[a/b]"`), false},
		{paths(`'/mnt/disks/a\'`), false},
		{paths(`'/mnt/disks/a\*'`), true},
		{pool(`requireMountPoint: true, initEmpty: true`), true},
		{pool(`requireMountPoint: true, subPath: hostdir, initEmpty: true`), true},
		{pool(`requireMountPoint: true, initEmpty: false`), true},
		{pool(`initEmpty: false`), true},
		{pool(`initEmpty: true`), false},
		{pool(`requireMountPoint: false, initEmpty: true`), false},
		{pool(`requireMountPoint: true, initEmpty: "true"`), false},
		{pool(`requireMountPoint: true, initEmpty: 1`), false},
		{`nodes: [{match: ["*"], pools: [{name: default, paths: [/data/a], initEmpty: true}]}]`, false},
		{pool(`cordoned: [/data/a]`), true},
		{pool(`cordoned: ["/data/*", "/mnt/disks/nvme[0-9]"]`), true},
		{pool(`cordoned: []`), true},
		{pool(`cordoned: /data/a`), false},
		{pool(`cordoned: [data/a]`), false},
		{pool(`cordoned: [/data/a/]`), false},
		{pool(`cordoned: [/]`), false},
		{pool(`cordoned: [""]`), false},
		{pool(`cordoned: ["/data/["]`), false},
		{"pools: [{name: a, paths: [/data/a]}, {name: a, paths: [/data/b]}]", false},
		{"pools: [{name: a, paths: [/data/a]}, {name: b, paths: [/data/a]}]", false},
		{"pools: [{name: a, paths: [/data/a]}, {name: b, paths: [/data/a/b]}]", false},
		{"pools: [{name: a, paths: [/mnt/a], requireMountPoint: true, subPath: x}, {name: b, paths: [/mnt/a/x/y]}]", false},
		{"pools: [{name: a, paths: [/mnt/a], requireMountPoint: true, subPath: x}, {name: default, paths: [/mnt/a/y]}]", true},
		{"pools: [{name: Default, paths: [/data/a]}]", false},
		{"pools: [{name: my_pool, paths: [/data/a]}]", false},

		{`nodes: [{match: ["worker-*"], pools: [{name: default, paths: [/data/a]}]}]`, true},
		{`nodes: [{match: ["db-[0-9]", rack.lab], pools: [{name: default, paths: [/data/a]}]}]`, true},
		{`nodes: [{match: [Worker-1], pools: [{name: default, paths: [/data/a]}]}]`, false},
		{`nodes: [{match: ["worker-\\d+"], pools: [{name: default, paths: [/data/a]}]}]`, false},
		{`nodes: [{match: ["(a|b)"], pools: [{name: default, paths: [/data/a]}]}]`, false},
		{`nodes: [{match: ["^a$"], pools: [{name: default, paths: [/data/a]}]}]`, false},
		{`nodes: [{match: ["["], pools: [{name: default, paths: [/data/a]}]}]`, false},
		{`nodes: [{match: [], pools: [{name: default, paths: [/data/a]}]}]`, false},
		{`nodes: [{match: [a], pools: [{name: default, paths: [/data/a, /data/a/b]}]}]`, false},
		{`nodes: [{match: [a], pools: [{name: default, paths: [/data/a]}]}, {match: [b], pools: [{name: default, paths: [/data/a/b]}]}]`, true},

		{`projectIDs: {first: 16777216, last: 33554431}`, true},
		{`projectIDs: {first: 1, last: 4294967294}`, true},
		{`projectIDs: {first: 0, last: 9}`, false},
		{`projectIDs: {first: 1, last: 4294967295}`, false},

		{class(`mountOptions: [noatime, noexec]`), true},
		{class(`mountOptions: [nosuid, ro]`), true},
		{class(`mountOptions: [noatime, relatime]`), false},
		{class(`mountOptions: [discard]`), false},
		{class(`mountOptions: ["noatime,ro"]`), false},
		{class(`mountOptions: [prjquota]`), false},
		{class(`parameters: {mode: "0770", uid: "1000", gid: "4294967294"}`), true},
		{class(`parameters: {gid: "4294967295"}`), false},
		{class(`parameters: {uid: root}`), false},
		{class(`parameters: {mode: "4755"}`), false},
		{class(`parameters: {mode: "0790"}`), false},
		{class(`parameters: {inodes: "100000"}`), true},
		{class(`parameters: {inodes: none}`), true},
		{class(`parameters: {inodes: "15"}`), false},
		{class(`parameters: {inodes: "16"}`), true},
		{class(`parameters: {inodes: many}`), false},
		{class(`parameters: {inodes: "100000", quota: required}`), true},
		{class(`parameters: {inodes: "100000", quota: "off"}`), false},
		{class(`parameters: {inodes: none, quota: "off"}`), true},
		{class(`parameters: {quota: "off"}`), true},
		{class(`parameters: {trashTTL: 36h}`), true},
		{class(`parameters: {trashTTL: 7d}`), false},

		{snapshotClass(`consistency: any, copy: auto`), true},
		{snapshotClass(`consistency: idle`), true},
		{snapshotClass(`consistency: atomic, copy: never`), true},
		{snapshotClass(`consistency: crash`), false},
		{snapshotClass(`copy: always`), false},
		{snapshotClass(`pool: default`), false},

		{`hostdir: {goMemoryLimit: 230MiB}`, true},
		{`hostdir: {goMemoryLimit: "1000000000"}`, true},
		{`hostdir: {goMemoryLimit: "off"}`, true},
		{`hostdir: {goMemoryLimit: 200Mi}`, false},
		{`hostdir: {goMemoryLimit: 200MB}`, false},
		{`hostdir: {goMemoryLimit: 0.2GiB}`, false},
	}
	for _, test := range tests {
		t.Run(test.values, func(t *testing.T) {
			t.Parallel()
			if _, refusal := render(t, test.values); (refusal == "") != test.ok {
				t.Errorf("the chart says %q; accepted should be: %t", refusal, test.ok)
			}
			if err := programTakes(t, test.values); (err == nil) != test.ok {
				t.Errorf("the program says %v; accepted should be: %t", err, test.ok)
			}
		})
	}
}

// programTakes returns what the program says of values, if they come to it as they
// are.
func programTakes(t *testing.T, text string) error {
	t.Helper()
	var values struct {
		config         map[string]any
		StorageClasses []struct {
			Parameters   map[string]string `json:"parameters"`
			MountOptions []string          `json:"mountOptions"`
		} `json:"storageClasses"`
		Snapshots struct {
			Classes []struct {
				Parameters map[string]string `json:"parameters"`
			} `json:"classes"`
		} `json:"snapshots"`
		Hostdir struct {
			GoMemoryLimit string `json:"goMemoryLimit"`
		} `json:"hostdir"`
	}
	if err := errors.Join(yaml.Unmarshal([]byte(text), &values), yaml.Unmarshal([]byte(text), &values.config)); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(values.config, func(key string, _ any) bool { return key != "pools" && key != "nodes" && key != "projectIDs" })
	file, err := yaml.Marshal(values.config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = config.Parse(file)
	for _, class := range values.StorageClasses {
		_, refused := config.ParseClass(class.Parameters)
		err = errors.Join(err, refused, mounter.CheckOptions(class.MountOptions))
	}
	for _, class := range values.Snapshots.Classes {
		_, refused := config.ParseSnapshotClass(class.Parameters)
		err = errors.Join(err, refused)
	}
	if limit := values.Hostdir.GoMemoryLimit; limit != "" {
		program := exec.Command(os.Args[0], "-test.run=^$") // any Go program reads it
		program.Env = append(os.Environ(), "GOMEMLIMIT="+limit)
		err = errors.Join(err, program.Run())
	}
	return err
}

// TestNumbersStayNumbers renders numbers that YAML libraries like to write with an
// exponent, which no flag takes.
func TestNumbersStayNumbers(t *testing.T) {
	manifests, refusal := render(t, `{csiProvisioner: {kubeAPIBurst: 10000}, csiResizer: {kubeAPIBurst: 10000}, csiSnapshotter: {kubeAPIBurst: 10000}, snapshots: {enabled: true, controller: {enabled: true, kubeAPIBurst: 10000}}, projectIDs: {first: 1000000, last: 40000000}}`)
	if refusal != "" {
		t.Fatal(refusal)
	}
	if strings.Count(string(manifests), "--kube-api-burst=10000\n") != 4 {
		t.Error("a burst is not written as it should be")
	}
	for _, object := range decode(t, manifests) {
		if m, ok := object.(*corev1.ConfigMap); ok {
			if _, err := config.Parse([]byte(m.Data["config.yaml"])); err != nil {
				t.Error(err)
			}
		}
	}
	for _, refused := range []string{`csiProvisioner: {kubeAPIBurst: 1000000}`, `csiResizer: {kubeAPIQPS: 1000000}`} {
		if _, refusal := render(t, refused); !strings.Contains(refusal, "kubeAPI") {
			t.Errorf("%s: %q", refused, refusal)
		}
	}
}

// TestFoldersOfTheContainer refuses pools that would cover the program, or that are
// gone with the next boot.
func TestFoldersOfTheContainer(t *testing.T) {
	for _, path := range []string{"/hostdir", "/hostdir/nvme*", "/run/hostdir", "/var/run/hostdir", "/hostdir-controller", "/dev/shm/x", "/proc/x", "/sys/x", "/etc/x", "/registration/x"} {
		if _, refusal := render(t, `pools: [{name: default, paths: ["`+path+`"]}]`); !strings.Contains(refusal, "use another folder") {
			t.Errorf("%s: %q", path, refusal)
		}
	}
	for _, path := range []string{"/hostdir2", "/runner/x", "/srv/hostdir", "/mnt/hostdir/*", "/var/lib/hostdir"} {
		if _, refusal := render(t, `pools: [{name: default, paths: ["`+path+`"]}]`); refusal != "" {
			t.Errorf("%s: %q", path, refusal)
		}
	}
}
