package architecture

import (
	"slices"
	"testing"
)

const (
	csi        = "github.com/container-storage-interface/spec"
	grpc       = "google.golang.org/grpc"
	mountUtils = "k8s.io/mount-utils"
)

// rules say what packages must not import. Tests may import what they like.
var rules = []struct {
	name string
	// packages are trees of the module; all but those in except must not
	// import what is in the banned trees.
	packages, except, banned []string
	// deep bans what the imports import as well.
	deep bool
	why  string
}{
	{
		name:     "CSI stays in the driver",
		packages: []string{"cmd", "pkg"},
		except:   []string{"pkg/driver"},
		banned:   []string{csi},
		why:      "pkg/driver is the one that translates CSI",
	},
	{
		name:     "codes stay in the driver",
		packages: []string{"cmd", "pkg"},
		except:   []string{"pkg/driver"},
		banned:   []string{grpc + "/codes", grpc + "/status"},
		why:      "errors get their codes in one table, of pkg/driver; everything below it wraps the classes of pkg/errdefs",
	},
	{
		name:     "gRPC stays where it is served",
		packages: []string{"cmd", "pkg"},
		except:   []string{"pkg/driver", "pkg/registration"},
		banned:   []string{grpc},
		why:      "only the CSI services and kubelet's registration speak gRPC",
	},
	{
		name:     "the store knows no CSI and no mounts",
		packages: []string{"pkg/store"},
		banned:   []string{csi, grpc, mountUtils, module + "/pkg/driver", module + "/pkg/mounter", module + "/pkg/registration", module + "/pkg/socket", module + "/pkg/metrics", module + "/pkg/admin"},
		deep:     true,
		why:      "volumes on disk can be understood, and tested, without what is above them",
	},
	{
		name:     "the mounter knows no volumes",
		packages: []string{"pkg/mounter"},
		banned:   []string{csi, grpc, module + "/pkg/driver", module + "/pkg/store"},
		deep:     true,
		why:      "it mounts the directory that it is given",
	},
	{
		name:     "sockets and registration know no driver",
		packages: []string{"pkg/registration", "pkg/socket"},
		banned:   []string{csi, module + "/pkg/driver", module + "/pkg/mounter", module + "/pkg/store"},
		deep:     true,
		why:      "they announce and serve whatever they are given",
	},
	{
		name:     "who asks the store knows no CSI",
		packages: []string{"pkg/admin", "pkg/metrics"},
		banned:   []string{csi, grpc, mountUtils, module + "/pkg/driver", module + "/pkg/mounter", module + "/pkg/registration"},
		deep:     true,
		why:      "they show what the store knows, whoever made it so",
	},
	{
		name:     "who asks operators' questions runs wherever kubectl does",
		packages: []string{"pkg/admin", "pkg/cli"},
		except:   []string{"pkg/admin/server"},
		banned:   []string{module + "/pkg/dir", module + "/pkg/disk", module + "/pkg/store", module + "/pkg/quota", module + "/pkg/mounter", module + "/pkg/socket"},
		deep:     true,
		why:      "they are built for other systems than Linux as well",
	},
	{
		name:     "Prometheus' client library stays in tests",
		packages: []string{"cmd/hostdir", "pkg"},
		except:   []string{"pkg/controller"},
		banned:   []string{"github.com/prometheus"},
		deep:     true,
		why:      "it takes more memory for ten thousand volumes than the node plugin has: pkg/metrics writes the format itself",
	},
	{
		name:     "FUSE stays in tests",
		packages: []string{"cmd", "pkg"},
		banned:   []string{"github.com/hanwen/go-fuse"},
		deep:     true,
		why:      "it serves the disks of tests that hang",
	},
	{
		name:     "classes of errors stand alone",
		packages: []string{"pkg/errdefs"},
		banned:   []string{module},
		why:      "every package imports it",
	},
	{
		name:     "an open directory knows no disks",
		packages: []string{"pkg/dir"},
		banned:   []string{module},
		why:      "all that touches files stands on it",
	},
	{
		name:     "a copy knows no volumes",
		packages: []string{"pkg/tree"},
		banned:   []string{module + "/pkg/config", module + "/pkg/disk", module + "/pkg/store", module + "/pkg/quota", module + "/pkg/mounter"},
		deep:     true,
		why:      "it copies the directory that it is given, and compares it to the last byte, whatever it is for",
	},
	{
		name:     "what the administrator wrote is read by itself",
		packages: []string{"pkg/config"},
		banned:   []string{module + "/pkg/dir", module + "/pkg/disk", module + "/pkg/store", module + "/pkg/quota", module + "/pkg/mounter"},
		deep:     true,
		why:      "a configuration is right or wrong whatever disks are there",
	},
	{
		name:     "disks know no volumes",
		packages: []string{"pkg/disk"},
		banned:   []string{module + "/pkg/config", module + "/pkg/store", module + "/pkg/quota", module + "/pkg/mounter"},
		deep:     true,
		why:      "which disk is at a path, and may it be used, is decided before anybody looks at what is on it",
	},
	{
		name:     "quotas know no volumes",
		packages: []string{"pkg/quota"},
		banned:   []string{module + "/pkg/config", module + "/pkg/disk", module + "/pkg/store", module + "/pkg/mounter"},
		deep:     true,
		why:      "they limit the directory that they are given",
	},
	{
		name:     "the node plugin has no Kubernetes client",
		packages: []string{"cmd/hostdir"},
		banned:   []string{"k8s.io/client-go", "k8s.io/api", "k8s.io/apimachinery"},
		deep:     true,
		why:      "it holds no credentials, and its memory is budgeted",
	},
	{
		name:     "the controller has no disks",
		packages: []string{"pkg/controller"},
		banned:   []string{csi, grpc, mountUtils, module + "/pkg/dir", module + "/pkg/disk", module + "/pkg/quota", module + "/pkg/store", module + "/pkg/driver", module + "/pkg/mounter"},
		why:      "it knows of volumes what the API server says",
	},
	{
		name:     "imports point down",
		packages: []string{"pkg"},
		banned:   []string{module + "/cmd", module + "/tests", module + "/deploy"},
		deep:     true,
		why:      "programs and tests are built on packages, never the other way round",
	},
	{
		name:     "programs contain no tests",
		packages: []string{"cmd"},
		banned:   []string{module + "/tests", "testing"},
		deep:     true,
		why:      "what is shipped is the product alone",
	},
}

func TestImportsPointDown(t *testing.T) {
	all := packages(t)
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			applied := false
			for _, p := range all {
				if !within(p.name(), rule.packages...) || within(p.name(), rule.except...) {
					continue
				}
				applied = true
				imports := p.Imports
				if rule.deep {
					imports = p.Deps
				}
				for _, path := range imports {
					if within(path, rule.banned...) {
						t.Errorf("%s imports %s: %s", p.name(), path, rule.why)
					}
				}
			}
			if !applied {
				t.Errorf("no package is in %q: the rule proves nothing", rule.packages)
			}
		})
	}
}

// TestRulesSeeImports guards the rules above against a `go list` that says
// less than they need.
func TestRulesSeeImports(t *testing.T) {
	all := packages(t)
	i := slices.IndexFunc(all, func(p goPackage) bool { return p.name() == "pkg/driver" })
	if i < 0 {
		t.Fatal("there is no pkg/driver")
	}
	direct := func(path string) bool { return within(path, csi) }
	if !slices.ContainsFunc(all[i].Imports, direct) {
		t.Error("pkg/driver is not seen to import CSI")
	}
	deep := func(path string) bool { return within(path, mountUtils) }
	if slices.ContainsFunc(all[i].Imports, deep) || !slices.ContainsFunc(all[i].Deps, deep) {
		t.Error("pkg/driver is not seen to reach k8s.io/mount-utils through pkg/mounter")
	}
}
