package deploy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// The host folders in hostdir's container, in the order to mount them in.
func TestPoolMounts(t *testing.T) {
	tests := []struct {
		name   string
		values string
		want   []string
	}{
		{"default", `{}`, []string{"/var/lib/hostdir"}},
		{"a plain folder is mounted itself",
			`pools: [{name: default, paths: [/srv/a/b]}]`,
			[]string{"/srv/a/b"}},
		{"a disk is mounted through its parent, once for all its disks",
			`pools: [{name: default, paths: [/mnt/hostdir/sda, /mnt/hostdir/sdb], requireMountPoint: true}]`,
			[]string{"/mnt/hostdir"}},
		{"a directory of a disk is mounted through the folder above the disk",
			`pools: [{name: default, paths: [/mnt/data, "/srv/disks/*"], requireMountPoint: true, subPath: hostdir}]`,
			[]string{"/mnt", "/srv/disks"}},
		{"a glob is mounted from the folder above its first pattern",
			`pools: [{name: default, paths: ["/mnt/disks/*/hostdir", "/data/ssd[0-9]"]}]`,
			[]string{"/data", "/mnt/disks"}},
		{"nodes' own pools are mounted as well",
			`nodes: [{match: [gpu-*], pools: [{name: default, paths: [/data/hostdir]}]}]`,
			[]string{"/data/hostdir", "/var/lib/hostdir"}},
		{"a folder comes before those inside it, also before kubelet's",
			`pools: [{name: a, paths: [/mnt/x/y]}, {name: default, paths: [/mnt/disk, /var/lib/disk], requireMountPoint: true}]`,
			[]string{"/mnt", "/mnt/x/y", "/var/lib"}},
		{"folders to import from, also one above a pool's and one that is mounted already",
			`{pools: [{name: default, paths: [/data/hostdir, "/mnt/disks/*"]}], import: [/opt/local-path-provisioner, /data, /mnt/disks]}`,
			[]string{"/data", "/data/hostdir", "/mnt/disks", "/opt/local-path-provisioner"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			manifests, refusal := render(t, test.values)
			if refusal != "" {
				t.Fatal(refusal)
			}
			spec := podSpecs(t, manifests)["hostdir-node"]
			folders := map[string]string{}
			for _, v := range spec.Volumes {
				if v.HostPath != nil {
					folders[v.Name] = v.HostPath.Path
				}
			}
			var got []string
			kubelet := false
			for _, m := range container(t, spec, "hostdir").VolumeMounts {
				kubelet = kubelet || m.MountPath == "/var/lib/kubelet/pods"
				if !strings.HasPrefix(m.Name, "pool-") {
					continue
				}
				got = append(got, m.MountPath)
				if folders[m.Name] != m.MountPath {
					t.Errorf("%s of the host is mounted at %s", folders[m.Name], m.MountPath)
				}
				if m.MountPropagation == nil || *m.MountPropagation != corev1.MountPropagationHostToContainer {
					t.Errorf("%s does not see the host's mounts", m.MountPath)
				}
				if kubelet {
					t.Errorf("%s is mounted after kubelet's folder and could cover it", m.MountPath)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("mounted folders (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusedValues(t *testing.T) {
	tests := []struct{ name, values, want string }{
		{"the whole host", `pools: [{name: default, paths: [/]}]`, "is the whole host"},
		{"the whole host, written otherwise", `pools: [{name: default, paths: [/mnt/..]}]`, "is the whole host"},
		{"relative path", `pools: [{name: default, paths: [data]}]`, "is not absolute: write the whole path on the host, such as /mnt/data"},
		{"a disk whose parent is the host", `pools: [{name: default, paths: [/disk1], requireMountPoint: true}]`, "use a path one folder deeper, such as /mnt/hostdir/disk1"},
		{"a glob below the host itself", `pools: [{name: default, paths: ["/disk*"]}]`, "use a path one folder deeper"},
		{"a directory of a disk whose parent is the host", `pools: [{name: default, paths: [/mnt], requireMountPoint: true, subPath: hostdir}]`, "use a path one folder deeper, such as /mnt/hostdir/mnt"},
		{"a directory of a disk that need not be mounted", `pools: [{name: default, paths: [/mnt/data], subPath: hostdir}]`, `pool "default": subPath "hostdir" is beneath a mount point: set requireMountPoint: true`},
		{"an empty disk that need not be mounted", `pools: [{name: default, paths: [/mnt/data], initEmpty: true}]`, `pool "default": initEmpty: the directory below a mount point is empty as well while no disk is mounted: set requireMountPoint: true too`},
		{"a directory that leads out of the disk", `pools: [{name: default, paths: [/mnt/data], requireMountPoint: true, subPath: ../x}]`, `subPath "../x" is not the plain path`},
		{"an absolute directory of a disk", `pools: [{name: default, paths: [/mnt/data], requireMountPoint: true, subPath: /x}]`, "/pools/0/subPath"},
		{"a glob of directories of a disk", `pools: [{name: default, paths: [/mnt/data], requireMountPoint: true, subPath: "x*"}]`, "/pools/0/subPath"},
		{"dots", `pools: [{name: default, paths: [/mnt/../etc]}]`, `write path "/mnt/../etc" as "/etc"`},
		{"slash at the end", `pools: [{name: default, paths: [/mnt/x/]}]`, `write path "/mnt/x/" as "/mnt/x"`},
		{"colon", `pools: [{name: default, paths: ["/mnt/a:b"]}]`, "has a colon"},
		{"kubelet's folder", `pools: [{name: default, paths: [/var/lib/kubelet/pools]}]`, "has /var/lib/kubelet for itself"},
		{"kubelet's folder elsewhere", `{kubeletDir: /data/kubelet, pools: [{name: default, paths: [/data/kubelet/x]}]}`, "has /data/kubelet for itself"},
		{"the socket's folder", `pools: [{name: default, paths: [/csi]}]`, "has /csi for itself"},
		{"a node's own pool", `nodes: [{match: [a], pools: [{name: default, paths: [x]}]}]`, "is not absolute"},
		{"misspelt value", `pool: []`, "additional properties 'pool' not allowed"},
		{"misspelt field of a pool", `pools: [{name: default, path: [/x]}]`, "additional properties 'path' not allowed"},
		{"pool without a path", `pools: [{name: default, paths: []}]`, "/pools/0/paths"},
		{"reserve", `pools: [{name: default, paths: [/x], reserve: some}]`, "/pools/0/reserve"},
		{"overcommit of nothing", `pools: [{name: default, paths: [/x], overcommit: 0}]`, "/pools/0/overcommit"},
		{"half a range of project IDs", `projectIDs: {first: 1000}`, "/projectIDs"},
		{"project ID of everybody", `projectIDs: {first: 0, last: 9}`, "/projectIDs/first"},
		{"quota", `storageClasses: [{name: x, parameters: {quota: always}}]`, "/storageClasses/0/parameters/quota"},
		{"class of no pool", `storageClasses: [{name: x, parameters: {pool: fast}}]`, `StorageClass "x": there is no pool "fast": name one of default`},
		{"reuse of what is deleted", `storageClasses: [{name: x, parameters: {reuse: same-claim}}]`, `StorageClass "x": reuse: same-claim keeps the volume of a deleted claim, and reclaimPolicy Delete deletes it: set reclaimPolicy: Retain`},
		{"unknown parameter", `storageClasses: [{name: x, parameters: {colour: red}}]`, "additional properties 'colour' not allowed"},
		{"a second pod beside the first", `updateStrategy: {rollingUpdate: {maxSurge: 1}}`, "maxSurge 1 cannot work"},
		{"some second pods", `updateStrategy: {rollingUpdate: {maxSurge: 25%}}`, "maxSurge 25% cannot work"},
		{"an update of none", `updateStrategy: {rollingUpdate: {maxUnavailable: 0}}`, "/updateStrategy/rollingUpdate/maxUnavailable"},
		{"a Deployment's strategy", `updateStrategy: {type: Recreate}`, "/updateStrategy/type"},
		{"import from the whole host", `import: [/]`, "/import/0"},
		{"import from a glob", `import: ["/data/*"]`, "/import/0"},
		{"import from a disk", `{pools: [{name: default, paths: [/mnt/disk], requireMountPoint: true, subPath: hostdir}], import: [/mnt/disk/hostdir/old]}`, `is in "/mnt/disk/hostdir", which is a disk of pool "default"`},
		{"import from kubelet's folder", `import: [/var/lib/kubelet]`, "has /var/lib/kubelet for itself"},
		{"kubelet's folder with a slash", `kubeletDir: /var/lib/kubelet/`, "/kubeletDir"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, refusal := render(t, test.values); !strings.Contains(refusal, test.want) {
				t.Errorf("got %q, want an error that says %q", refusal, test.want)
			}
		})
	}
}

func TestUpdateStrategies(t *testing.T) {
	for _, values := range []string{
		`updateStrategy: {type: OnDelete}`,
		`updateStrategy: {rollingUpdate: {maxUnavailable: 1}}`,
		`updateStrategy: {rollingUpdate: {maxUnavailable: 100%, maxSurge: 0}}`,
	} {
		if _, refusal := render(t, values); refusal != "" {
			t.Errorf("%s: %s", values, refusal)
		}
	}
}
