// Command cluster runs a real Kubernetes on one Linux machine: a control plane and two or more nodes with kubelets,
// containerd and pods of their own, each a machine of namespaces, built from Go modules. See README.md.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/hostdir/hostdir/tests/cluster/images"
	"github.com/hostdir/hostdir/tests/cluster/kube"
	"github.com/hostdir/hostdir/tests/cluster/machine"
	"github.com/hostdir/hostdir/tests/cluster/programs"
)

// Namespaces belong to threads. Everything that enters one, or starts a process, is done on the main thread.
func init() { runtime.LockOSThread() }

func main() {
	if machine.IsBoot(os.Args) {
		fail(machine.Boot(os.Args[2])) // it comes back only with an error
	}
	err := run(os.Args[1:])
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "cluster:", err)
	os.Exit(1)
}

// say lets whoever waits know what is being done.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

const usage = `cluster runs a real Kubernetes on this machine.

  cluster up [--nodes 2]                build what is missing, bring it up, wait until all nodes are ready
          [--arg DAEMON=ARGUMENT]...
  cluster down                          end it, and leave nothing behind
  cluster status                        what runs, and where its files are; fails when it is not up
  cluster kubectl ARGS...               kubectl, as its administrator
  cluster helm ARGS...                  helm, likewise
  cluster run -- COMMAND ARGS...        a command of the host in the cluster's network, with KUBECONFIG set
  cluster exec NODE -- COMMAND ARGS...  a command inside a node
  cluster load IMAGE|TAR                load an image into all nodes
  cluster build-image DIR               build DIR/Dockerfile and write DIR/bin/NAME.tar
          [--tag localhost/hostdir/hostdir:dev] [--output TAR]
  cluster restart kubelet NODE          kill a daemon of a node (kubelet, containerd, kube-proxy); it starts again
  cluster stop NODE                     end a node at once, as a power cut does
  cluster start NODE                    start it again, with its files, name and address
  cluster wipe                          set all machines up anew: etcd is empty, the nodes keep their disks
  cluster node-dir NODE                 the folder of a node's files: /var/lib/hostdir is var/lib/hostdir in it
  cluster snapshot-crds                 the folder of the CustomResourceDefinitions of snapshots, for kubectl apply -k
  cluster programs                      only build the programs and images

Flags stand behind the command and before its arguments; with kubectl and helm, whose own flags follow, before it:
cluster --name demo kubectl get pods.

`

// options are what the flags say.
type options struct {
	name   string
	nodes  int
	tag    string
	output string
	args   []string
}

func run(args []string) error {
	var o options
	flags := pflag.NewFlagSet("cluster", pflag.ContinueOnError)
	flags.SetInterspersed(false)
	name := os.Getenv("HOSTDIR_CLUSTER")
	if name == "" {
		name = "hostdir"
	}
	flags.StringVar(&o.name, "name", name, "the cluster's name (or HOSTDIR_CLUSTER)")
	flags.IntVar(&o.nodes, "nodes", 0, "how many nodes a new cluster gets (default 2)")
	flags.StringArrayVar(&o.args, "arg", nil, "DAEMON=ARGUMENT: a further argument of a daemon of a new cluster, such as kube-controller-manager=--kube-api-qps=100")
	flags.StringVar(&o.tag, "tag", "localhost/hostdir/hostdir:dev", "the name of the image that build-image makes")
	flags.StringVar(&o.output, "output", "", "where build-image writes the image")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage, flags.FlagUsages()) }

	// Flags may stand before the verb and right behind it; what follows is the verb's own.
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return errors.New("say what to do")
	}
	verb := flags.Arg(0)
	rest := flags.Args()[1:]
	if verb != "kubectl" && verb != "helm" { // their flags are not ours
		if err := flags.Parse(rest); err != nil {
			return err
		}
		rest = flags.Args()
	}
	if err := check(o); err != nil {
		return err
	}
	cache, err := programs.OpenCache()
	if err != nil {
		return err
	}
	return do(cluster{name: o.name, cache: cache}, verb, rest, o)
}

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

func check(o options) error {
	if os.Geteuid() != 0 {
		return errors.New("run it as root: it makes namespaces, mounts and cgroups")
	}
	if !validName.MatchString(o.name) {
		return fmt.Errorf("%q cannot be a cluster's name: use up to 32 lower-case letters, digits and hyphens", o.name)
	}
	if o.nodes < 0 || o.nodes > kube.MaxWorkers {
		return fmt.Errorf("a cluster has 1 to %d nodes, not %d", kube.MaxWorkers, o.nodes)
	}
	return nil
}

func do(c cluster, verb string, args []string, o options) error {
	switch verb {
	case "up":
		return want(args, "", func() error { return c.up(o.nodes, o.args) })
	case "down":
		return want(args, "", c.down)
	case "status":
		return want(args, "", c.status)
	case "programs":
		return want(args, "", func() error {
			_, err := c.prepare()
			return err
		})
	case "snapshot-crds":
		return want(args, "", func() error {
			dir, err := programs.SnapshotCRDs()
			if err != nil {
				return err
			}
			fmt.Println(dir)
			return nil
		})
	case "kubectl", "helm":
		return c.run(append([]string{c.cache.Path(verb)}, args...))
	case "run":
		return c.run(args)
	case "exec":
		return c.exec(args)
	case "load":
		return want(args, "IMAGE|TAR", func() error { return c.loadImage(args[0]) })
	case "build-image":
		return want(args, "DIR", func() error { return c.buildImage(args[0], o) })
	case "restart":
		return want(args, "DAEMON NODE", func() error { return c.restart(args[0], args[1]) })
	case "stop":
		return want(args, "NODE", func() error { return c.stopNode(args[0]) })
	case "start":
		return want(args, "NODE", func() error { return c.startNode(args[0]) })
	case "wipe":
		return want(args, "", c.wipe)
	case "node-dir":
		return want(args, "NODE", func() error { return c.nodeDir(args[0]) })
	}
	return fmt.Errorf("there is no command %q: see \"cluster --help\"", verb)
}

// want runs f when there are as many arguments as names for them.
func want(args []string, names string, f func() error) error {
	if len(args) != len(strings.Fields(names)) {
		return fmt.Errorf("want %q as arguments, not %q", names, strings.Join(args, " "))
	}
	return f()
}

// run replaces this process by a command of the host that sees the cluster's network.
func (c cluster) run(args []string) error {
	if len(args) == 0 {
		return errors.New("say which command to run")
	}
	if err := c.mustExist(); err != nil {
		return err
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for key, value := range map[string]string{
		"KUBECONFIG": c.kubeconfig(), "HOSTDIR_CLUSTER": c.name, "HOSTDIR_CLUSTER_BIN": self,
		// Programs that call these are to find them.
		"PATH": filepath.Dir(c.cache.Path("kubectl")) + ":" + filepath.Dir(c.cache.Path("helm")) + ":" +
			filepath.Dir(c.cache.Path("local-path-provisioner")) + ":" + os.Getenv("PATH"),
	} {
		if err := os.Setenv(key, value); err != nil {
			return err
		}
	}
	if err := c.controlPlane().EnterNetwork(); err != nil {
		return err
	}
	return syscall.Exec(program, args, os.Environ())
}

// buildImage builds the image of a folder with a Dockerfile, and prints where its archive is.
func (c cluster) buildImage(dir string, o options) error {
	builder, err := images.NewBuilder(c.cache, say)
	if err != nil {
		return err
	}
	if o.output == "" {
		o.output = filepath.Join(dir, "bin", images.ShortName(o.tag)+".tar")
	}
	if err := builder.Build(dir, o.tag, o.output); err != nil {
		return err
	}
	fmt.Println(o.output)
	return nil
}
