package server

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/pkg/admin"
)

func TestImport(t *testing.T) {
	root := t.TempDir()
	base, source := filepath.Join(root, "pool"), filepath.Join(root, "old", "www-0")
	for _, path := range []string{base, source} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(source+"/index.html", []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "config.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "pools: [{name: default, paths: [%q]}]\nimport: [%q]", base, root+"/old"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := serve(t, file, base)
	order := admin.ImportOrder{
		Volume: "pvc-1", Source: source, CapacityBytes: 1 << 20, Claim: admin.Claim{Namespace: "shop", Name: "www-web-0"}, PersistentVolume: "www-0-pv",
		Old: json.RawMessage(`{"kind":"PersistentVolume"}`), Parameters: map[string]string{"onNodeLoss": "release"},
	}
	plan, err := c.PlanImport(t.Context(), order)
	if err != nil || plan.State != admin.ImportPlanned || plan.Files != 2 || plan.Pool != "default" || plan.Method != "rename" {
		t.Fatalf("%+v, %v", plan, err)
	}
	c.mounted.Store(true)
	if _, err := c.Import(t.Context(), order); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a directory that is mounted: %v", err)
	}
	c.mounted.Store(false)
	i, err := c.Import(t.Context(), order)
	if err != nil || i.State != admin.ImportReady || i.ID == "" || i.NodeLabels["csi.hostdir.io/node"] == "" || i.Attributes["onNodeLoss"] != "release" || *i.Claim != order.Claim {
		t.Fatalf("%+v, %v", i, err)
	}
	if _, err := os.Stat(i.Path + "/index.html"); err != nil {
		t.Error(err)
	}
	all, err := c.Imports(t.Context())
	if err != nil || len(all.Imports) != 1 || string(all.Imports[0].Old) != string(order.Old) || all.Imports[0].PersistentVolume != "www-0-pv" {
		t.Errorf("%+v, %v", all, err)
	}
	if i, err := c.UndoImport(t.Context(), admin.ImportUndo{Volume: "pvc-1"}); err != nil || i.State != admin.ImportUndone {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err := os.Stat(source + "/index.html"); err != nil {
		t.Error(err)
	}
	if _, err := c.FinishImport(t.Context(), "pvc-1"); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("finished what was undone: %v", err)
	}
	for _, bad := range []string{"", "../x", ".import-x"} {
		if _, err := c.UndoImport(t.Context(), admin.ImportUndo{Volume: bad}); err == nil {
			t.Errorf("undone: %q", bad)
		}
	}
}
