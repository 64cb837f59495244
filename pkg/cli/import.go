package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// importer is one call of the command.
type importer struct {
	s         *session
	clients   kubernetes.Interface
	namespace string
	out       output

	selector, node, pool, class string
	undo, finish                bool
	consent                     consent
}

func newImport(s *session) *cobra.Command {
	im := &importer{s: s}
	command := &cobra.Command{
		Use:   "import [pv/NAME | statefulset/NAME]... [-l SELECTOR]",
		Short: "Make hostPath and local volumes hostdir's, with their claims, and back",
		Long: `Make hand-written hostPath and local PersistentVolumes, and local-path-provisioner's,
hostdir's: in place, with their claims, while no pod uses them. A directory on a disk's own
filesystem is moved there, any other copied and compared. Until --finish, --undo brings the
old volumes back. Killed anywhere, the same command goes on.

Without an argument it lists what was imported and is not finished.`,
		Example: `  kubectl scale statefulset web --replicas=0
  kubectl hostdir import statefulset/web
  kubectl scale statefulset web --replicas=2
  kubectl hostdir import statefulset/web --finish`,
		RunE: func(command *cobra.Command, args []string) error { return im.run(command.Context(), args) },
	}
	flags := command.Flags()
	im.out.addFlags(flags)
	flags.StringVarP(&im.selector, "selector", "l", "", "import the volumes of the claims with these labels")
	flags.StringVar(&im.node, "node", "", "the node that has the directories, where the PersistentVolumes do not say")
	flags.StringVar(&im.pool, "pool", "", "the pool to import to; without, one on the directory's own filesystem, if there is one")
	flags.StringVar(&im.class, "class", "", "the StorageClass whose parameters, such as quota and trashTTL, the volumes get")
	im.consent.addFlags(flags)
	flags.BoolVar(&im.undo, "undo", false, "bring back the old volumes")
	flags.BoolVar(&im.finish, "finish", false, "let go of the old volumes: what was copied is removed where it was")
	command.MarkFlagsMutuallyExclusive("undo", "finish")
	return command
}

func (im *importer) run(ctx context.Context, args []string) (err error) {
	if im.clients, err = im.s.client(); err != nil {
		return err
	}
	if len(args) == 0 && im.selector == "" {
		return im.list(ctx)
	}
	if im.namespace, err = im.s.namespace(); err != nil {
		return err
	}
	names, err := im.volumesToImport(ctx, args)
	if err != nil {
		return err
	}
	all, err := im.look(ctx, names)
	if err != nil {
		return err
	}
	switch {
	case im.undo:
		return im.undoAll(ctx, all)
	case im.finish:
		return im.finishAll(ctx, all)
	}
	return im.importAll(ctx, all)
}

func (im *importer) importAll(ctx context.Context, all []*toImport) error {
	parameters, err := im.parameters(ctx)
	if err != nil {
		return err
	}
	var todo []*toImport
	var plans []nodeImport
	var refused []error
	for _, t := range all {
		plan, err := im.plan(ctx, t, parameters)
		switch {
		case err != nil:
			refused = append(refused, fmt.Errorf("pv/%s: %w", t.name, err))
		case plan == nil && t.claim != nil && t.claim.Annotations[importing] != "":
			// The last command ended before it could say so.
			if err := im.mark(ctx, t.claim, ""); err != nil {
				return err
			}
			fmt.Fprintf(im.s.Out, "pv/%s imported\n", t.name)
		case plan == nil:
			fmt.Fprintf(im.s.ErrOut, "pv/%s is hostdir's already.\n", t.name)
		default:
			todo, plans = append(todo, t), append(plans, nodeImport{t.node.name, *plan})
		}
	}
	if len(refused) > 0 {
		return &statusError{Wrong, errors.Join(refused...)}
	}
	if len(todo) == 0 {
		return nil
	}
	if ok, err := im.agreed(plans, "These become hostdir's volumes. The claims stay; until --finish, --undo brings the old volumes back."); !ok {
		return err
	}
	for _, t := range todo {
		if err := im.importOne(ctx, t, parameters); err != nil {
			return &statusError{Wrong, fmt.Errorf("pv/%s: %w", t.name, err)}
		}
		fmt.Fprintf(im.s.Out, "pv/%s imported\n", t.name)
	}
	im.hintAtGrowth(ctx, todo)
	return nil
}

// parameters are those of the class that the person names, and the pool.
func (im *importer) parameters(ctx context.Context) (map[string]string, error) {
	all := map[string]string{}
	if im.class != "" {
		class, err := im.clients.StorageV1().StorageClasses().Get(ctx, im.class, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if class.Provisioner != im.s.driver {
			return nil, fmt.Errorf("StorageClass %s is of %s, not of %s", im.class, class.Provisioner, im.s.driver)
		}
		for key, value := range class.Parameters {
			if !strings.HasPrefix(key, "csi.storage.k8s.io/") {
				all[key] = value
			}
		}
	}
	if im.pool != "" {
		all["pool"] = im.pool
	}
	return all, nil
}

// plan says what is to be done, nil if nothing is.
func (im *importer) plan(ctx context.Context, t *toImport, parameters map[string]string) (*admin.Import, error) {
	if t.old == nil {
		switch v := t.volume; {
		case v == nil:
			return nil, errors.New("there is no such PersistentVolume, and no node has begun to import one")
		case v.Spec.CSI != nil && v.Spec.CSI.Driver == im.s.driver:
			return nil, nil
		}
		return nil, errors.New("it is neither a hostPath nor a local volume: only these are directories of nodes")
	}
	if t.begun != nil && t.begun.Trouble != "" {
		return nil, errors.New(t.begun.Trouble)
	}
	if err := im.findClaim(ctx, t); err != nil {
		return nil, err
	}
	if err := im.findNode(ctx, t); err != nil {
		return nil, err
	}
	if t.begun != nil && t.volume != nil && t.volume.Spec.CSI != nil && t.volume.Spec.CSI.VolumeHandle == t.begun.ID && t.claim.Status.Phase == corev1.ClaimBound {
		return nil, nil
	}
	if err := checkOld(t.old); err != nil {
		return nil, err
	}
	if err := im.checkUnused(ctx, t); err != nil {
		return nil, err
	}
	if err := im.checkOthers(ctx, t); err != nil {
		return nil, err
	}
	order, err := importOrder(t, parameters)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	plan, err := t.node.plugin.PlanImport(ctx, order)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", t.node.name, err)
	}
	return &plan, nil
}

// planPatience is for a directory with millions of files, which are counted.
const planPatience = 10 * time.Minute

// checkOld refuses what a volume of hostdir could not be.
func checkOld(old *corev1.PersistentVolume) error {
	switch {
	case old.Spec.VolumeMode != nil && *old.Spec.VolumeMode == corev1.PersistentVolumeBlock:
		return errors.New("it is a block device, and hostdir's volumes are directories")
	case old.Spec.Local != nil && old.Spec.Local.FSType != nil && *old.Spec.Local.FSType != "":
		return errors.New("it is a filesystem on a device of its own: make that a disk of a pool, and copy the data")
	case slices.Contains(old.Spec.AccessModes, corev1.ReadWriteMany) || slices.Contains(old.Spec.AccessModes, corev1.ReadOnlyMany):
		return errors.New("its access modes allow pods of several nodes, which a directory cannot serve: only ReadWriteOnce and ReadWriteOncePod can be imported")
	}
	for _, f := range old.Finalizers {
		if !slices.Contains(pv.Protections, f) {
			return fmt.Errorf("it has the finalizer %s: whose it is has to let go of it first", f)
		}
	}
	return nil
}

func (im *importer) checkOthers(ctx context.Context, t *toImport) error {
	all, err := im.clients.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	on, err := im.clients.CoreV1().Nodes().Get(ctx, t.node.name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return im.checkAlone(t, all.Items, on)
}

func importOrder(t *toImport, parameters map[string]string) (admin.ImportOrder, error) {
	old := t.old.DeepCopy()
	old.APIVersion, old.Kind, old.ManagedFields = "v1", "PersistentVolume", nil
	text, err := json.Marshal(old)
	capacity := old.Spec.Capacity[corev1.ResourceStorage]
	return admin.ImportOrder{
		Volume: "pvc-" + string(t.claim.UID), Source: source(old), CapacityBytes: capacity.Value(), Parameters: parameters,
		MountOptions: old.Spec.MountOptions, Claim: admin.Claim{Namespace: t.claim.Namespace, Name: t.claim.Name}, PersistentVolume: old.Name, Old: text,
	}, err
}

// importOne has the node import the directory, and then exchanges the PersistentVolumes.
func (im *importer) importOne(ctx context.Context, t *toImport, parameters map[string]string) error {
	doing := "import of " + source(t.old) + " on node " + t.node.name
	if err := im.mark(ctx, t.claim, doing); err != nil {
		return err
	}
	if source(t.volume) != "" {
		if err := im.keepData(ctx, t.volume); err != nil {
			return err
		}
	}
	order, err := importOrder(t, parameters)
	if err != nil {
		return err
	}
	done, err := im.carryOut(ctx, t, func(ctx context.Context) (admin.Import, error) { return t.node.plugin.Import(ctx, order) })
	if err != nil {
		return err
	}
	if done.State != admin.ImportReady {
		return fmt.Errorf("node %s says that it is %s", t.node.name, done.State)
	}
	if err := im.s.checkNoPod(ctx, nameOf(t.claim)); err != nil {
		return fmt.Errorf("the directory is imported, and its PersistentVolume not replaced yet, for which the same command is: %w", err)
	}
	if err := im.replace(ctx, newVolume(t.old, t.claim, done)); err != nil {
		return err
	}
	if err := im.awaitBound(ctx, t.claim, doing); err != nil {
		return err
	}
	return im.mark(ctx, t.claim, "")
}

// agreed shows imports and asks; false without an error is that there is nothing to do,
// or a dry run.
func (im *importer) agreed(all []nodeImport, effect string) (bool, error) {
	if len(all) == 0 {
		return false, nil
	}
	if im.consent.dryRun {
		return false, im.show(all)
	}
	var table bytes.Buffer
	if err := (&output{}).table(&table, importRows(all)); err != nil {
		return false, err
	}
	return im.consent.ask(im.s, table.String()+effect)
}

// known is what their nodes say of imports.
func known(all []*toImport) []nodeImport {
	var found []nodeImport
	for _, t := range all {
		found = append(found, nodeImport{t.node.name, *t.begun})
	}
	return found
}

// carryOut gives a node an order again and again until it is carried out, and shows how
// it comes along.
func (im *importer) carryOut(ctx context.Context, t *toImport, give func(ctx context.Context) (admin.Import, error)) (admin.Import, error) {
	b := &bar{w: im.s.ErrOut, what: "pv/" + t.name}
	defer b.end()
	for {
		i, err := give(ctx)
		if err != nil {
			return i, fmt.Errorf("node %s: %w", t.node.name, err)
		}
		if i.Order == "" {
			return i, nil
		}
		b.show(i.Progress)
	}
}

// hintAtGrowth says what claims of a class need to grow that Kubernetes does not know, or
// that is another driver's.
func (im *importer) hintAtGrowth(ctx context.Context, all []*toImport) {
	told := map[string]bool{}
	for _, t := range all {
		name := ""
		if t.claim.Spec.StorageClassName != nil {
			name = *t.claim.Spec.StorageClassName
		}
		if told[name] {
			continue
		}
		told[name] = true
		class, err := im.clients.StorageV1().StorageClasses().Get(ctx, name, metav1.GetOptions{})
		switch {
		case name == "":
			fmt.Fprintln(im.s.ErrOut, "Claims without a class cannot grow: Kubernetes asks their StorageClass whether they may.")
		case apierrors.IsNotFound(err):
			fmt.Fprintf(im.s.ErrOut, "Claims of class %s cannot grow: Kubernetes asks the StorageClass of that name, and there is none. One makes it possible:\n"+
				"  kubectl apply -f - <<'END'\n  {apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: %s}, provisioner: %s, volumeBindingMode: WaitForFirstConsumer, reclaimPolicy: Retain, allowVolumeExpansion: true}\n  END\n"+
				"New claims of that class are hostdir's then, too.\n", name, name, im.s.driver)
		case err == nil && (class.AllowVolumeExpansion == nil || !*class.AllowVolumeExpansion):
			fmt.Fprintf(im.s.ErrOut, "Claims of class %s cannot grow: its allowVolumeExpansion is not true. That can be changed:\n"+
				"  kubectl patch storageclass %s -p '{\"allowVolumeExpansion\": true}'\n", name, name)
		}
	}
}
