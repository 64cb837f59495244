//go:build ignore

// Kubernetes' own tests of storage drivers, without the rest of its end-to-end tests. This file is built inside
// Kubernetes' module, so that this one does not depend on it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"k8s.io/component-base/logs"
	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
	e2enode "k8s.io/kubernetes/test/e2e/framework/node"
	"k8s.io/kubernetes/test/e2e/framework/testfiles"
	manifests "k8s.io/kubernetes/test/e2e/testing-manifests"
	"k8s.io/kubernetes/test/utils/image"

	_ "k8s.io/component-base/logs/testinit"               // flags
	_ "k8s.io/kubernetes/test/e2e/framework/debug/init"   // what a failed test shows
	_ "k8s.io/kubernetes/test/e2e/framework/metrics/init" // likewise
	_ "k8s.io/kubernetes/test/e2e/framework/node/init"    // waits for nodes
	_ "k8s.io/kubernetes/test/e2e/storage/external"       // the tests, and -storage.testdriver
)

// used are the images of the pods of these tests.
var used = []image.ImageID{image.Agnhost, image.BusyBox, image.GlibcDnsTesting, image.Nginx}

// result is where a test of Go would be: what comes of the tests is returned as well.
type result struct{}

func (result) Fail() {}

func main() {
	testing.Init() // Ginkgo passes the flags of go test
	list := flag.Bool("images", false, "print the names of the images of the tests' pods, and end")
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	flag.Parse()
	if *list {
		for _, id := range used {
			fmt.Println(image.GetE2EImage(id))
		}
		return
	}
	testfiles.AddFileSource(manifests.GetE2ETestingManifestsFS())
	framework.AfterReadingAllFlags(&framework.TestContext)
	logs.InitLogs()
	gomega.RegisterFailHandler(framework.Fail)
	suite, reporter := framework.CreateGinkgoConfig()
	passed := ginkgo.RunSpecs(result{}, "Kubernetes' tests of storage drivers", suite, reporter)
	logs.FlushLogs()
	if !passed {
		os.Exit(1)
	}
}

// Some tests are skipped for want of nodes.
var _ = ginkgo.BeforeSuite(func(ctx context.Context) {
	client, err := framework.LoadClientset()
	framework.ExpectNoError(err)
	nodes, err := e2enode.GetReadySchedulableNodes(ctx, client)
	framework.ExpectNoError(err)
	framework.TestContext.CloudConfig.NumNodes = len(nodes.Items)
})
