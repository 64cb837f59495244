// Package misplaced tests what hostdir-controller does about pods that were placed away from
// their volumes, with Kubernetes' own API server, controllers and scheduler.
package misplaced
