// Package deploy is how hostdir is installed: the chart, and the manifests
// rendered from it. Its tests hold both and the examples to what they promise,
// with Helm itself and Kubernetes' own types. They need Helm 4: the program that
// $HELM names, or helm on the PATH.
package deploy
