package cli

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// right is what a person needs to be allowed. Without namespace it is about the whole
// cluster.
type right struct {
	verb, group, resource, namespace string
}

func (r right) String() string {
	text := r.verb + " " + r.resource
	if r.group != "" {
		text += "." + r.group
	}
	if r.namespace != "" {
		text += " in namespace " + r.namespace
	}
	return text
}

// need fails unless the person has all of these rights: an order of several writes is
// not to end in the middle for want of one.
func (s *session) need(ctx context.Context, rights ...right) error {
	clients, err := s.client()
	if err != nil {
		return err
	}
	var missing []string
	for _, r := range rights {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: r.verb, Group: r.group, Resource: r.resource, Namespace: r.namespace},
		}}
		review, err := clients.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("whether you may %s could not be asked: %w", r, err)
		}
		if !review.Status.Allowed {
			missing = append(missing, r.String())
		}
	}
	if len(missing) > 0 {
		return wrong("nothing is done, for you may not %s", strings.Join(missing, ", nor "))
	}
	return nil
}
