// Package e2e runs hostdir on a real Kubernetes with real kubelets: the cluster
// that tests/cluster brings up. It installs the chart as a person does, applies
// claims and pods, takes nodes, plugins and disks away, and looks at what is in the
// nodes' folders. Sizes that are enforced it tests on small btrfs disks that it
// gives to the nodes.
//
//	bin/cluster up --name e2e
//	bin/cluster load --name e2e bin/hostdir.tar
//	go test -c -tags e2e -o bin/e2e.test ./tests/e2e
//	bin/cluster run --name e2e -- bin/e2e.test -test.v
//
// One test: -test.run 'TestHostdir/together/a_deleted_pod'. Figures instead of
// tests: -test.run TestFigures -figures.
package e2e
