//go:build e2e

package e2e

// bindsWithoutController shows that nothing but time is lost while hostdir-controller
// is down.
func bindsWithoutController(t *test) {
	t.withoutController()
	t.createStatefulSet(newStatefulSet("db", 3, signed))
	t.setRuns("set=db", 3)
}

// withoutController ends hostdir-controller until the test does, or up is called.
func (t *test) withoutController() (up func()) {
	t.Helper()
	scale := func(replicas string) {
		run(t, "kubectl", "--namespace", home, "scale", "deployment/hostdir-controller", "--replicas", replicas)
	}
	scale("0")
	up = func() {
		scale("1")
		run(t, "kubectl", "--namespace", home, "rollout", "status", "deployment/hostdir-controller", "--timeout", "3m")
	}
	t.Cleanup(func() {
		t.explain()
		up()
	})
	await(t, "hostdir-controller's pods are gone", pods, controllers, none)
	return up
}
