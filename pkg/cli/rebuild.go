package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/cli/rebuild"
	"github.com/hostdir/hostdir/pkg/config"
)

// rebuilding is one call of rebuild.
type rebuilding struct {
	*session
	rebuild.Options
	consent consent
	out     output
	node    string
}

func newRebuild(s *session) *cobra.Command {
	r := &rebuilding{session: s}
	command := &cobra.Command{
		Use:   "rebuild",
		Short: "Make PersistentVolumes, and claims, of the records on the disks",
		Long: `Make the PersistentVolumes, and with --claims the claims, of volumes that Kubernetes does not know any more: after etcd
was lost, a node got another name, or a disk moved to another node. With --namespace only those of its claims.

It shows what there is and what it would do, and asks. PersistentVolumes are Retain, and reserved for their claims. What
only a person can decide is told and left alone, and the exit status is 1 then. Interrupted anywhere, the same command goes
on. -o yaml, json and name print what would be created, and create nothing.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return r.run(command.Context()) },
	}
	flags := command.Flags()
	r.out.addFlags(flags)
	r.consent.addFlags(flags)
	flags.StringVar(&r.node, "node", "", "only what this node has, also if others do not answer")
	flags.BoolVar(&r.Claims, "claims", false, "make the claims as well")
	flags.StringVar(&r.StorageClass, "storage-class", "", "the StorageClass of volumes whose record does not say it")
	flags.StringVar(&r.AccessMode, "access-mode", "ReadWriteOnce", "the access mode of volumes whose record does not say it")
	return command
}

func (r *rebuilding) run(ctx context.Context) error {
	if !slices.Contains([]string{"ReadWriteOnce", "ReadWriteOncePod"}, r.AccessMode) {
		return fmt.Errorf("--access-mode=%s is neither ReadWriteOnce nor ReadWriteOncePod", r.AccessMode)
	}
	clients, err := r.client()
	if err != nil {
		return err
	}
	volumes, missing, err := r.volumes(ctx)
	if err != nil {
		return err
	}
	source := rebuild.Source{Clients: clients, System: r.system, Driver: r.driver}
	world, err := source.Collect(ctx, volumes)
	if err != nil {
		return err
	}
	plan := slices.DeleteFunc(rebuild.Plan(world, r.Options), func(row rebuild.Row) bool { return !r.concerns(row) })
	if r.out.format != "table" && r.out.format != "wide" {
		err = r.printObjects(plan)
	} else if err = r.out.print(r.Out, plan, func() rows { return planRows(plan) }); err == nil {
		err = r.carryOut(ctx, source, plan)
	}
	if err != nil {
		return err
	}
	for _, m := range missing {
		fmt.Fprintln(r.ErrOut, "Not looked into:", m)
	}
	if n := count(plan, rebuild.Row.InConflict); n > 0 {
		return wrong("volumes that a person has to decide about: %d", n)
	}
	if len(missing) > 0 {
		return wrong("disks that cannot be used: %d; there may be more volumes", len(missing))
	}
	if count(plan, rebuild.Row.Todo) == 0 {
		fmt.Fprintln(r.ErrOut, "Nothing is to do.")
	}
	return nil
}

// volumes asks all nodes: who looks at one only does not see that another one has the
// same volume. It also returns which disks nobody could look into.
func (r *rebuilding) volumes(ctx context.Context) (all []rebuild.Volume, missing []string, err error) {
	nodes, err := r.nodes(ctx)
	if err != nil {
		return nil, nil, err
	}
	if r.node != "" && !slices.ContainsFunc(nodes, func(n *node) bool { return n.name == r.node }) {
		return nil, nil, fmt.Errorf("hostdir has no pod on node %s", r.node)
	}
	type found struct {
		admin.Adoptables
		admin.Disks
	}
	var silent []error
	for _, a := range askAll(ctx, nodes, patience, func(ctx context.Context, n *node) (f found, err error) {
		if f.Disks, err = n.plugin.Disks(ctx); err == nil {
			f.Adoptables, err = n.plugin.Adoptables(ctx, "")
		}
		return f, err
	}) {
		switch {
		case a.err != nil && r.node != "" && a.node.name != r.node:
			fmt.Fprintln(r.ErrOut, "Warning: what this node has was not compared:", a.err)
		case a.err != nil:
			silent = append(silent, a.err)
		}
		for _, d := range a.value.Disks.Disks {
			if d.State == admin.Unusable && (r.node == "" || a.node.name == r.node) {
				missing = append(missing, fmt.Sprintf("node %s, disk %s: %s", a.node.name, d.Path, d.Message))
			}
		}
		all = append(all, rebuild.Volumes(a.node.name, a.value.Adoptables)...)
	}
	if err := errors.Join(silent...); err != nil {
		return nil, nil, fmt.Errorf("nothing was done, for nobody knows what these nodes have; --node rebuilds what one node has without the others:\n%w", err)
	}
	return all, missing, nil
}

// concerns reports whether the person asks for a volume.
func (r *rebuilding) concerns(row rebuild.Row) bool {
	namespace := *r.flags.Namespace
	return (r.node == "" || row.Node == r.node) && (namespace == "" || strings.HasPrefix(row.Claim, namespace+"/"))
}

func (r *rebuilding) carryOut(ctx context.Context, source rebuild.Source, plan []rebuild.Row) error {
	todo := slices.DeleteFunc(slices.Clone(plan), func(row rebuild.Row) bool { return !row.Todo() })
	if len(todo) == 0 {
		return nil
	}
	ask := fmt.Sprintf("PersistentVolumes to create: %d, to exchange: %d; claims to create: %d.",
		count(todo, func(row rebuild.Row) bool { return row.Volume == rebuild.Create }),
		count(todo, func(row rebuild.Row) bool { return row.Volume == rebuild.Exchange }),
		count(todo, func(row rebuild.Row) bool { return row.ClaimVerb == rebuild.Create }))
	if doIt, err := r.consent.ask(r.session, ask); !doIt {
		return err
	}
	var errs []error
	for _, row := range todo {
		if err := source.Do(ctx, row); err != nil {
			errs = append(errs, err)
		} else {
			fmt.Fprintf(r.ErrOut, "done: %s on node %s\n", row.PersistentVolume, row.Node)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return wrong("%w\nthe same command goes on", err)
	}
	return nil
}

// printObjects prints what would be created, without what an API server adds.
func (r *rebuilding) printObjects(plan []rebuild.Row) error {
	items, names := []any{}, []string{}
	for _, o := range rebuild.Objects(plan) {
		item, err := unmanaged(o)
		if err != nil {
			return err
		}
		items = append(items, item)
		names = append(names, strings.ToLower(item["kind"].(string))+"/"+item["metadata"].(map[string]any)["name"].(string))
	}
	if n := count(plan, func(row rebuild.Row) bool { return row.Volume == rebuild.Exchange }); n > 0 {
		fmt.Fprintf(r.ErrOut, "Not printed, since no file can do it: PersistentVolumes to exchange: %d\n", n)
	}
	list := map[string]any{"apiVersion": "v1", "kind": "List", "items": items}
	return r.out.print(r.Out, list, func() rows { return rows{names: names} })
}

func unmanaged(o runtime.Object) (item map[string]any, err error) {
	text, err := json.Marshal(o)
	if err == nil {
		err = json.Unmarshal(text, &item)
	}
	delete(item, "status")
	return item, err
}

func count(plan []rebuild.Row, is func(rebuild.Row) bool) (n int) {
	for _, row := range plan {
		if is(row) {
			n++
		}
	}
	return n
}

func planRows(all []rebuild.Row) rows {
	t := rows{header: []string{"NODE", "CLAIM", "SIZE", "CLASS", "VOLUME", "PV", "PVC", "MESSAGE", "HANDLE"}, wide: 1}
	for _, row := range all {
		capacity := unknown
		if row.CapacityBytes > 0 {
			capacity = config.FormatSize(row.CapacityBytes)
		}
		t.cells = append(t.cells, []string{
			row.Node, row.Claim, capacity, row.Class, row.PersistentVolume, string(row.Volume), string(row.ClaimVerb), row.Message, row.VolumeID,
		})
	}
	return t
}
