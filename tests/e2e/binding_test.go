//go:build e2e

package e2e

// bindsWithoutController shows that nothing but time is lost while hostdir-controller
// is down.
func bindsWithoutController(t *test) {
	scale := func(replicas string) {
		run(t, "kubectl", "--namespace", home, "scale", "deployment/hostdir-controller", "--replicas", replicas)
	}
	scale("0")
	t.Cleanup(func() {
		t.explain()
		scale("1")
		run(t, "kubectl", "--namespace", home, "rollout", "status", "deployment/hostdir-controller", "--timeout", "3m")
	})
	await(t, "hostdir-controller's pods are gone", pods, controllers, none)
	t.createStatefulSet(newStatefulSet("db", 3, signed))
	t.setRuns("set=db", 3)
}
