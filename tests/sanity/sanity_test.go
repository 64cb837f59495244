package sanity

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"github.com/hostdir/hostdir/pkg/driver"
	"github.com/hostdir/hostdir/pkg/mounter"
	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

func TestSanity(t *testing.T) {
	plugin.RequireRoot(t)
	suite := func(name string, p *plugin.Plugin) {
		config := sanity.NewTestConfig()
		config.Address = "unix://" + p.Socket
		config.TargetPath = filepath.Join(p.KubeletDir, "target")
		config.StagingPath = filepath.Join(p.KubeletDir, "staging")
		config.TestVolumeSize = 64 << 20
		config.TestVolumeExpandSize = 96 << 20
		ginkgo.Describe(name, func() { sanity.GinkgoTest(&config) })
	}

	suite("In process", startInProcess(t))
	for name, mounted := range map[string]string{
		"ext4":                  disk.Mount(t, "ext4", 512<<20),
		"xfs":                   disk.Mount(t, "xfs", 512<<20),
		"btrfs with a quota":    disk.MountLimited(t, 512<<20),
		"btrfs without a quota": disk.Mount(t, "btrfs", 512<<20),
	} {
		p := plugin.Layout(t, mounted)
		p.Run(t)
		suite("Program on "+name, p)
	}
	gomega.RegisterFailHandler(ginkgo.Fail)
	ginkgo.RunSpecs(t, "csi-sanity")
}

// startInProcess serves the driver from this process.
func startInProcess(t *testing.T) *plugin.Plugin {
	t.Helper()
	p := plugin.Layout(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	volumes, err := store.Open(ctx, plugin.NodeName, p.Config, "")
	if err != nil {
		t.Fatal(err)
	}
	volumes.Look(ctx)
	mounts, err := mounter.New(p.KubeletDir, mounter.NewBind(filepath.Join(filepath.Dir(p.Config), "mounting")))
	if err != nil {
		t.Fatal(err)
	}
	d := &driver.Driver{Identity: driver.Identity{Name: driver.DefaultName, Version: "test"}, NodeName: plugin.NodeName, Store: volumes, Mounter: mounts}
	p.Socket = filepath.Join(filepath.Dir(p.Config), "csi.sock")
	done := make(chan error)
	go volumes.Run(ctx)
	go func() { done <- d.Serve(ctx, p.Socket) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}
