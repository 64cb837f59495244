package reuse

import (
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/hostdir/hostdir/pkg/controller/reuse"
	"github.com/hostdir/hostdir/tests/apiserver"
)

// run runs the loop, with the rights that it has in a cluster, until the test ends or
// stop is called. It crashes as crash says, nil for never.
func (c *cluster) run(t *testing.T, crash *apiserver.Crash) (stop func()) {
	t.Helper()
	limited := *c.server
	limited.Config = rest.CopyConfig(c.server.Config)
	limited.Config.Impersonate.UserName = "system:serviceaccount:hostdir-system:hostdir-controller"
	return limited.RunManager(t, crash, func(m manager.Manager, _ *apiserver.Crash) error { return reuse.Add(m, driver) })
}
