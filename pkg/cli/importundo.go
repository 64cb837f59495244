package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/hostdir/hostdir/pkg/admin"
)

// undoAll brings the old volumes back. Each is made again before its node forgets it.
func (im *importer) undoAll(ctx context.Context, all []*toImport) error {
	var todo []*toImport
	var refused []error
	for _, t := range all {
		if t.begun == nil && source(t.volume) != "" {
			if err := im.forget(ctx, t); err != nil {
				return &statusError{Wrong, fmt.Errorf("pv/%s: %w", t.name, err)}
			}
			fmt.Fprintf(im.s.ErrOut, "pv/%s is as it was.\n", t.name)
			continue
		}
		err := im.checkUndo(ctx, t)
		if err != nil {
			refused = append(refused, fmt.Errorf("pv/%s: %w", t.name, err))
			continue
		}
		todo = append(todo, t)
	}
	if len(refused) > 0 {
		return &statusError{Wrong, errors.Join(refused...)}
	}
	if ok, err := im.agreed(known(todo), "The old volumes come back. Old directories that were copied are as they were when they were imported: what was written since goes to the trash, for a day."); !ok {
		return err
	}
	for _, t := range todo {
		if err := im.undoOne(ctx, t); err != nil {
			return &statusError{Wrong, fmt.Errorf("pv/%s: %w", t.name, err)}
		}
		fmt.Fprintf(im.s.Out, "pv/%s is as it was\n", t.name)
	}
	return nil
}

// forget takes back what an import does before its node knows of it. The reclaim policy
// comes back only to a volume that its claim has: without one the data might go at once.
func (im *importer) forget(ctx context.Context, t *toImport) error {
	err := im.findClaim(ctx, t)
	switch {
	case err != nil && t.old == t.volume: // nothing was done to it
		return nil
	case err != nil || im.consent.dryRun:
		return err
	}
	if err := im.letGo(ctx, t.volume); err != nil || t.claim.Annotations[importing] == "" {
		return err
	}
	return im.mark(ctx, t.claim, "")
}

func (im *importer) checkUndo(ctx context.Context, t *toImport) error {
	switch {
	case t.begun == nil:
		return errors.New("no node has an import of it that can be undone: it was finished, or it was never imported")
	case t.old == nil:
		return fmt.Errorf("node %s does not know what it was before: %s", t.node.name, t.begun.Trouble)
	case t.begun.State == admin.ImportFinishing:
		return fmt.Errorf("its old directory %s is being removed, as --finish has asked", t.begun.Source)
	}
	if err := im.findClaim(ctx, t); err != nil {
		return err
	}
	return im.s.checkNoPod(ctx, nameOf(t.claim))
}

func (im *importer) undoOne(ctx context.Context, t *toImport) error {
	old := asBefore(t.old, t.claim)
	doing := "undoing the import of " + t.begun.Source + " on node " + t.node.name
	if err := im.mark(ctx, t.claim, doing); err != nil {
		return err
	}
	if err := im.takeAway(ctx, t.name, old); err != nil {
		return err
	}
	undo := func(keep bool) error {
		_, err := im.carryOut(ctx, t, func(ctx context.Context) (admin.Import, error) {
			return t.node.plugin.UndoImport(ctx, admin.ImportUndo{Volume: t.begun.Volume, Keep: keep})
		})
		return err
	}
	if err := undo(true); err != nil {
		return err
	}
	if err := im.replace(ctx, old); err != nil {
		return err
	}
	if err := im.awaitBound(ctx, t.claim, doing); err != nil {
		return err
	}
	if err := im.mark(ctx, t.claim, ""); err != nil { // while the node still knows of it
		return err
	}
	return undo(false)
}

func (im *importer) finishAll(ctx context.Context, all []*toImport) error {
	var todo []*toImport
	var refused []error
	for _, t := range all {
		switch {
		case t.begun == nil && t.volume != nil && t.volume.Annotations[importedFrom] != "":
			fmt.Fprintf(im.s.ErrOut, "pv/%s is finished already.\n", t.name)
		case t.begun == nil:
			refused = append(refused, fmt.Errorf("pv/%s: no node has imported it", t.name))
		case t.volume == nil || t.volume.Spec.CSI == nil || t.volume.Spec.CSI.VolumeHandle != t.begun.ID:
			refused = append(refused, fmt.Errorf("pv/%s: its import is not done yet: the same command without --finish goes on", t.name))
		default:
			todo = append(todo, t)
		}
	}
	if len(refused) > 0 {
		return &statusError{Wrong, errors.Join(refused...)}
	}
	if ok, err := im.agreed(known(todo), "Nothing brings the old volumes back any more. Old directories that were copied are removed, for good."); !ok {
		return err
	}
	for _, t := range todo {
		_, err := im.carryOut(ctx, t, func(ctx context.Context) (admin.Import, error) {
			return t.node.plugin.FinishImport(ctx, t.begun.Volume)
		})
		if err != nil {
			return &statusError{Wrong, fmt.Errorf("pv/%s: %w", t.name, err)}
		}
		fmt.Fprintf(im.s.Out, "pv/%s finished\n", t.name)
	}
	return nil
}
