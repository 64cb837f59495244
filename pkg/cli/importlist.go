package cli

import (
	"context"
	"fmt"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
)

// list shows the imports that are not finished.
func (im *importer) list(ctx context.Context) error {
	nodes, err := im.s.chosen(ctx, im.node)
	if err != nil {
		return err
	}
	answers := askAll(ctx, nodes, patience, func(ctx context.Context, n *node) (admin.Imports, error) { return n.plugin.Imports(ctx) })
	var all []nodeImport
	for _, a := range answers {
		for _, i := range a.value.Imports {
			all = append(all, nodeImport{a.node.name, i})
		}
	}
	if err := im.show(all); err != nil {
		return err
	}
	return unanswered(answers)
}

// nodeImport is an import and the node that it is on.
type nodeImport struct {
	Node string `json:"node"`
	admin.Import
}

func (im *importer) show(all []nodeImport) error {
	return im.out.print(im.s.Out, all, func() rows { return importRows(all) })
}

func importRows(all []nodeImport) rows {
	r := rows{header: []string{"PV", "CLAIM", "NODE", "SOURCE", "STATE", "USED", "FILES", "CAPACITY", "METHOD", "POOL", "QUOTA", "DISK", "PROGRESS", "VOLUME", "TROUBLE"}, wide: 2}
	for _, i := range all {
		claim := unknown
		if i.Claim != nil {
			claim = i.Claim.String()
		}
		r.cells = append(r.cells, []string{
			i.PersistentVolume, claim, i.Node, i.Source, string(i.State), config.FormatSize(i.Bytes), fmt.Sprint(i.Files), config.FormatSize(i.CapacityBytes),
			i.Method, i.Pool, string(i.Quota), i.Disk, progressText(i.Progress), i.Volume, i.Trouble,
		})
		r.names = append(r.names, "pv/"+i.PersistentVolume)
	}
	return r
}
