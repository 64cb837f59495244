package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/plugin"
)

// wantError checks that an error tells all of this.
func wantError(t *testing.T, what string, err error, says ...string) {
	t.Helper()
	for _, want := range says {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one that tells %q", what, err, want)
		}
	}
}

func TestDelete(t *testing.T) {
	layout := plugin.Layout(t, "")
	layout.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q], trashTTL: 1h}]", layout.Base))
	c := serve(t, layout.Config, layout.Base)
	v := create(t, c.store, "a")

	for ref, says := range map[string]string{"shop/b": `no volume "shop/b"`, "": `no volume ""`} {
		_, err := c.PlanDeletion(t.Context(), ref)
		wantError(t, "a plan for nothing", err, says)
	}
	plan, err := c.PlanDeletion(t.Context(), "shop/a")
	if err != nil || plan.ID != v.ID || plan.TrashTTL != time.Hour || len(plan.Deleted) > 0 {
		t.Fatalf("the plan is %+v: %v", plan, err)
	}
	// Only an ID is an order: a claim may have another volume by now.
	_, err = c.Delete(t.Context(), "shop/a")
	if _, gone := c.store.FindVolume(v.ID); err == nil || gone != nil {
		t.Errorf("a claim's name deletes a volume: %v, %v", err, gone)
	}

	// A pod may have begun to use it since the plan was shown.
	c.mounted.Store(true)
	_, err = c.PlanDeletion(t.Context(), "shop/a")
	wantError(t, "a plan for a mounted volume", err, "in use")
	_, err = c.Delete(t.Context(), plan.ID)
	wantError(t, "the deletion of a mounted volume", err, "in use")
	if _, err := c.store.FindVolume(v.ID); err != nil {
		t.Fatal(err)
	}
	c.mounted.Store(false)

	deleted, err := c.Delete(t.Context(), plan.ID)
	if err != nil || deleted.ID != v.ID || !strings.HasPrefix(deleted.Entry, "pvc-a.") {
		t.Fatalf("deleted is %+v: %v", deleted, err)
	}
	// Whoever asks again, since the answer was lost, hears the same.
	again, err := c.Delete(t.Context(), plan.ID)
	if diff := cmp.Diff(deleted, again); diff != "" || err != nil {
		t.Errorf("deleted again (-want +got):\n%s%v", diff, err)
	}
	for _, ref := range []string{"shop/a", "pvc-a", v.ID, deleted.Entry} {
		plan, err := c.PlanDeletion(t.Context(), ref)
		if err != nil || len(plan.Deleted) != 1 || plan.Deleted[0].Entry != deleted.Entry {
			t.Errorf("the plan for %q, which is in the trash, is %+v: %v", ref, plan, err)
		}
	}
}

// TestDeleteWithoutData deletes a volume whose data somebody has removed.
func TestDeleteWithoutData(t *testing.T) {
	layout := plugin.Layout(t, "")
	c := serve(t, layout.Config, layout.Base)
	v := create(t, c.store, "a")
	if err := os.Remove(v.Path); err != nil {
		t.Fatal(err)
	}
	plan, err := c.PlanDeletion(t.Context(), "shop/a")
	if err != nil || plan.ID != v.ID {
		t.Fatalf("the plan is %+v: %v", plan, err)
	}
	if deleted, err := c.Delete(t.Context(), plan.ID); err != nil || deleted.ID != v.ID {
		t.Errorf("deleted is %+v: %v", deleted, err)
	}
}

func TestAdoptables(t *testing.T) {
	layout := plugin.Layout(t, "")
	before, err := store.Open(t.Context(), plugin.NodeName, layout.Config, "")
	if err != nil {
		t.Fatal(err)
	}
	before.Look(t.Context())
	a, b, broken := create(t, before, "a"), create(t, before, "b"), create(t, before, "c")
	made := func(name string, claim store.Claim) store.Volume {
		v, err := before.Create(t.Context(), store.CreateRequest{
			Name: name, RequiredBytes: 1 << 20, Claim: claim, MountOptions: []string{"noatime"},
			Class: config.Class{Pool: config.DefaultPool, Mode: "0777", Quota: config.QuotaOff},
		})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	second, nameless := made("pvc-second", b.Claim), made("pvc-nameless", store.Claim{})
	if err := os.Remove(filepath.Join(filepath.Dir(broken.Path), "volume.json")); err != nil {
		t.Fatal(err)
	}
	c := serve(t, layout.Config, layout.Base)
	adoptable := func(v store.Volume, claim *admin.Claim, warnings ...string) admin.Adoptable {
		return admin.Adoptable{
			ID: v.ID, Path: v.Path, PersistentVolume: v.Name, Claim: claim, CapacityBytes: v.CapacityBytes, MountOptions: v.MountOptions, Warnings: warnings,
			AccessModes: v.AccessModes, Class: v.Class,
			Driver: "csi.hostdir.io", NodeLabels: map[string]string{"csi.hostdir.io/node": plugin.NodeName},
		}
	}

	all, err := c.Adoptables(t.Context(), "")
	if diff := cmp.Diff([]admin.Adoptable{adoptable(a, (*admin.Claim)(&a.Claim))}, all.Volumes); diff != "" || err != nil {
		t.Errorf("all (-want +got):\n%s%v", diff, err)
	}
	var texts []string
	for _, l := range all.LeftOut {
		texts = append(texts, l.String())
		if l.Quarantine != (l.ID == broken.ID) || !l.Quarantine && l.CapacityBytes == 0 {
			t.Errorf("left out is %+v", l)
		}
	}
	left := strings.Join(texts, "\n")
	for _, want := range []string{
		broken.ID + " at " + broken.Path + ": its volume.json is gone; `hostdir check`",
		nameless.ID + " at " + nameless.Path + ": it is not known which claim",
		b.ID + " at " + b.Path + ": 2 volumes were made for claim shop/b",
		second.ID + " at " + second.Path + ": 2 volumes were made for claim shop/b",
	} {
		if !strings.Contains(left, want) {
			t.Errorf("what is left out does not tell %q:\n%s", want, left)
		}
	}
	if len(all.LeftOut) != 4 {
		t.Errorf("left out:\n%s", left)
	}

	one := func(ref string, want admin.Adoptable) {
		t.Helper()
		got, err := c.Adoptables(t.Context(), ref)
		if diff := cmp.Diff(admin.Adoptables{Volumes: []admin.Adoptable{want}}, got); diff != "" || err != nil {
			t.Errorf("%s (-want +got):\n%s%v", ref, diff, err)
		}
	}
	one("shop/a", adoptable(a, (*admin.Claim)(&a.Claim)))
	one(nameless.ID, adoptable(nameless, nil))
	one(second.ID, adoptable(second, (*admin.Claim)(&b.Claim), "claim shop/b can be bound to one volume only, and others were made for it as well: "+b.ID))
	for ref, says := range map[string]string{"shop/b": "2 volumes", "pvc-c": "its volume.json is gone", "shop/d": "no volume"} {
		_, err := c.Adoptables(t.Context(), ref)
		wantError(t, ref, err, says)
	}
}
