package cli

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// claimRef reads a claim as people write it: NAME in the namespace of --namespace,
// pvc/NAME, or NAMESPACE/NAME.
func (s *session) claimRef(arg string) (types.NamespacedName, error) {
	namespace, err := s.namespace()
	if err != nil {
		return types.NamespacedName{}, err
	}
	before, name, two := strings.Cut(arg, "/")
	switch {
	case !two:
		name = before
	case before == "pvc" || before == "persistentvolumeclaim":
	default:
		namespace = before
	}
	if name == "" || namespace == "" || strings.Contains(name, "/") {
		return types.NamespacedName{}, fmt.Errorf("%q is not a claim: write NAME, pvc/NAME or NAMESPACE/NAME", arg)
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, nil
}
