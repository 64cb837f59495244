// Package e2e runs hostdir on a real Kubernetes with real kubelets: the cluster
// that tests/cluster brings up.
package e2e

import (
	_ "k8s.io/client-go/kubernetes"
)
