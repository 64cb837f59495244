// Package binding runs the loop of pkg/controller/binding against a real API server,
// beside a real kube-controller-manager. There is no provisioner: the tests make the
// volumes as it does.
package binding
