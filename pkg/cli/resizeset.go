package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// Kubernetes does not let a StatefulSet's volumeClaimTemplates change, so the object is
// exchanged: deleted without its pods and claims, and created with the new template.
// Between the two it is in a ConfigMap in its namespace, from which the same command
// goes on.

// keptSet is the ConfigMap that has the manifest of a StatefulSet, under manifestKey.
func keptSet(name string) string { return "hostdir-resize-" + name }

const manifestKey = "statefulset.yaml"

// setPatience is how long the garbage collector may take to let go of pods and claims.
const setPatience = 2 * time.Minute

// set is a StatefulSet that is to get a template of another size.
type set struct {
	*appsv1.StatefulSet
	// gone says that it is read from the ConfigMap: an earlier call has deleted it.
	gone bool
	// kept says that there is a ConfigMap.
	kept bool
}

func (s *session) resizeSet(ctx context.Context, name, template string, size resource.Quantity, consent *consent) error {
	if _, err := s.client(); err != nil {
		return err
	}
	namespace, err := s.namespace()
	if err != nil {
		return err
	}
	old, err := s.readSet(ctx, namespace, name)
	if err != nil {
		return err
	}
	if old.gone {
		fmt.Fprintf(s.ErrOut, "statefulset %s/%s was deleted by an earlier call, and is made again from ConfigMap %s\n", namespace, name, keptSet(name))
	}
	claims, err := s.claimsOf(ctx, old)
	if err != nil {
		return err
	}
	if template, err = s.chooseTemplate(ctx, old, claims, template); err != nil {
		return err
	}
	var growths []*growth
	for _, c := range claims[template] {
		asks := c.Spec.Resources.Requests[corev1.ResourceStorage]
		if asks.Cmp(size) > 0 && c.Status.Capacity.Storage().Cmp(size) >= 0 {
			fmt.Fprintf(s.ErrOut, "claim %s/%s has %s and stays as it is\n", c.Namespace, c.Name, c.Status.Capacity.Storage())
			continue
		}
		g, err := s.newGrowth(ctx, c, size)
		if err != nil {
			return err
		}
		if g != nil {
			growths = append(growths, g)
		}
	}
	next, changed, err := withTemplate(old.StatefulSet, template, size)
	if err != nil {
		return err
	}
	if len(growths) == 0 && !changed && !old.gone {
		fmt.Fprintf(s.Out, "statefulset %s/%s and its claims ask for %s already\n", namespace, name, size.String())
		return s.forget(ctx, old)
	}
	if err := s.need(ctx, patchClaims(namespace),
		right{"create", "apps", "statefulsets", namespace}, right{"delete", "apps", "statefulsets", namespace},
		right{"create", "", "configmaps", namespace}, right{"update", "", "configmaps", namespace}, right{"delete", "", "configmaps", namespace},
	); err != nil {
		return err
	}
	if err := s.room(ctx, growths); err != nil {
		return err
	}
	plan, err := exchangePlan(old, next, growths)
	if err != nil {
		return err
	}
	if do, err := consent.ask(s, plan); !do {
		return err
	}
	for _, g := range growths {
		if err := s.grow(ctx, g); err != nil {
			return err
		}
	}
	if changed || old.gone {
		return s.exchange(ctx, old, template, size)
	}
	return s.forget(ctx, old)
}

// readSet reads the StatefulSet, or what an earlier call has kept of it.
func (s *session) readSet(ctx context.Context, namespace, name string) (*set, error) {
	live, err := s.clients.AppsV1().StatefulSets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	missing := err
	kept, err := s.clients.CoreV1().ConfigMaps(namespace).Get(ctx, keptSet(name), metav1.GetOptions{})
	if apierrors.IsForbidden(err) && missing == nil {
		return nil, fmt.Errorf("the StatefulSet's manifest is to be kept in ConfigMap %s: %w", keptSet(name), err)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	found := err == nil
	if missing == nil && live.DeletionTimestamp == nil {
		return &set{StatefulSet: live, kept: found}, nil
	}
	if !found {
		if missing == nil {
			return nil, wrong("statefulset %s/%s is being deleted", namespace, name)
		}
		return nil, missing
	}
	old := &set{StatefulSet: &appsv1.StatefulSet{}, gone: true, kept: true}
	if err := yaml.UnmarshalStrict([]byte(kept.Data[manifestKey]), old.StatefulSet); err != nil {
		return nil, fmt.Errorf("%s of ConfigMap %s/%s, where an earlier call has kept the StatefulSet, cannot be read: %w", manifestKey, namespace, kept.Name, err)
	}
	if old.Name != name || old.Namespace != namespace {
		return nil, wrong("ConfigMap %s/%s is to have statefulset %s and has %s/%s", namespace, kept.Name, name, old.Namespace, old.Name)
	}
	return old, nil
}

// claimsOf returns the claims of each of the templates: their names are all that tells.
func (s *session) claimsOf(ctx context.Context, of *set) (map[string][]*corev1.PersistentVolumeClaim, error) {
	all, err := s.clients.CoreV1().PersistentVolumeClaims(of.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	claims := map[string][]*corev1.PersistentVolumeClaim{}
	for _, t := range of.Spec.VolumeClaimTemplates {
		names := regexp.MustCompile("^" + regexp.QuoteMeta(t.Name+"-"+of.Name) + "-[0-9]+$")
		for i := range all.Items {
			if names.MatchString(all.Items[i].Name) {
				claims[t.Name] = append(claims[t.Name], &all.Items[i])
			}
		}
	}
	return claims, nil
}

// chooseTemplate returns the name of the template that is meant: the only one whose
// class, or one of whose claims, is hostdir's.
func (s *session) chooseTemplate(ctx context.Context, of *set, claims map[string][]*corev1.PersistentVolumeClaim, name string) (string, error) {
	var all, ours []string
	for _, t := range of.Spec.VolumeClaimTemplates {
		all = append(all, t.Name)
		is, err := s.isOurs(ctx, &t, claims[t.Name])
		if err != nil {
			return "", err
		}
		if is {
			ours = append(ours, t.Name)
		}
	}
	switch {
	case name != "" && !slices.Contains(all, name):
		return "", wrong("statefulset %s/%s has no volumeClaimTemplate %s; it has %s", of.Namespace, of.Name, name, strings.Join(all, ", "))
	case name != "" && !slices.Contains(ours, name):
		return "", wrong("volumeClaimTemplate %s of statefulset %s/%s is not one of hostdir (%s)", name, of.Namespace, of.Name, s.driver)
	case name != "":
		return name, nil
	case len(ours) == 1:
		return ours[0], nil
	case len(ours) == 0:
		return "", wrong("statefulset %s/%s has no volumeClaimTemplate of hostdir (%s)", of.Namespace, of.Name, s.driver)
	}
	return "", fmt.Errorf("statefulset %s/%s has several volumeClaimTemplates of hostdir: name one of %s with --template", of.Namespace, of.Name, strings.Join(ours, ", "))
}

func (s *session) isOurs(ctx context.Context, template *corev1.PersistentVolumeClaim, claims []*corev1.PersistentVolumeClaim) (bool, error) {
	for _, c := range claims {
		if c.Annotations[storageProvisioner] == s.driver {
			return true, nil
		}
		if c.Spec.VolumeName == "" {
			continue
		}
		v, err := s.visibleVolume(ctx, c.Spec.VolumeName)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil || v != nil && pv.Is(v, s.driver) {
			return err == nil, err
		}
	}
	if template.Spec.StorageClassName == nil {
		return false, nil
	}
	class, err := s.clients.StorageV1().StorageClasses().Get(ctx, *template.Spec.StorageClassName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return false, nil
	}
	return err == nil && class.Provisioner == s.driver, err
}

// withTemplate returns the manifest with another size in a template, and whether it had
// another one.
func withTemplate(old *appsv1.StatefulSet, template string, size resource.Quantity) (*appsv1.StatefulSet, bool, error) {
	next := manifest(old)
	for i := range next.Spec.VolumeClaimTemplates {
		t := &next.Spec.VolumeClaimTemplates[i]
		if t.Name != template {
			continue
		}
		has := t.Spec.Resources.Requests[corev1.ResourceStorage]
		if has.Cmp(size) > 0 {
			return nil, false, wrong("volumeClaimTemplate %s of statefulset %s/%s asks for %s: it does not shrink", template, old.Namespace, old.Name, has.String())
		}
		if t.Spec.Resources.Requests == nil {
			t.Spec.Resources.Requests = corev1.ResourceList{}
		}
		t.Spec.Resources.Requests[corev1.ResourceStorage] = size
		return next, has.Cmp(size) != 0, nil
	}
	return nil, false, wrong("statefulset %s/%s has no volumeClaimTemplate %s any more", old.Namespace, old.Name, template)
}

// manifest returns what a StatefulSet of the same kind can be created from.
func manifest(old *appsv1.StatefulSet) *appsv1.StatefulSet {
	next := &appsv1.StatefulSet{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: metav1.ObjectMeta{
			Name: old.Name, Namespace: old.Namespace, Labels: old.Labels, Annotations: old.Annotations, OwnerReferences: old.OwnerReferences,
			Finalizers: slices.DeleteFunc(slices.Clone(old.Finalizers), func(f string) bool { return f == metav1.FinalizerOrphanDependents }),
		},
		Spec: old.Spec,
	}
	return next.DeepCopy()
}

func exchangePlan(old *set, next *appsv1.StatefulSet, growths []*growth) (string, error) {
	var text strings.Builder
	for _, g := range growths {
		fmt.Fprintln(&text, g)
	}
	name := old.Namespace + "/" + old.Name
	before, err := yaml.Marshal(manifest(old.StatefulSet))
	if err != nil {
		return "", err
	}
	after, err := yaml.Marshal(next)
	if err != nil {
		return "", err
	}
	if !old.gone && string(before) != string(after) {
		fmt.Fprintf(&text, "statefulset %s is deleted without its pods and claims, and created with the new template; pods are not started again\n", name)
	}
	text.WriteString(difference(string(before), string(after)))
	for _, owner := range old.OwnerReferences {
		if owner.Controller != nil && *owner.Controller {
			fmt.Fprintf(&text, "%s %s owns the StatefulSet, and may change it back: change the size there as well\n", owner.Kind, owner.Name)
		}
	}
	text.WriteString("Change the size in the manifest that you apply as well, or it will be refused the next time")
	return text.String(), nil
}

// difference shows the one place in which two texts differ, "" if there is none.
func difference(before, after string) string {
	const around = 3
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	first, same := 0, 0
	for first < min(len(a), len(b)) && a[first] == b[first] {
		first++
	}
	for same < min(len(a), len(b))-first && a[len(a)-1-same] == b[len(b)-1-same] {
		same++
	}
	if first == len(a) && first == len(b) {
		return ""
	}
	var text strings.Builder
	lines := func(sign string, lines []string) {
		for _, line := range lines {
			fmt.Fprintln(&text, sign+line)
		}
	}
	lines(" ", a[max(0, first-around):first])
	lines("-", a[first:len(a)-same])
	lines("+", b[first:len(b)-same])
	lines(" ", a[len(a)-same:min(len(a), len(a)-same+around)])
	return text.String()
}

// exchange makes the StatefulSet anew. At every moment either it is there, or the
// ConfigMap that has it.
func (s *session) exchange(ctx context.Context, old *set, template string, size resource.Quantity) error {
	next, _, err := withTemplate(old.StatefulSet, template, size)
	if err != nil {
		return err
	}
	for !old.gone {
		if err := s.keep(ctx, next); err != nil {
			return err
		}
		orphan := metav1.DeletePropagationOrphan
		err = s.clients.AppsV1().StatefulSets(old.Namespace).Delete(ctx, old.Name, metav1.DeleteOptions{
			PropagationPolicy: &orphan, Preconditions: &metav1.Preconditions{UID: &old.UID, ResourceVersion: &old.ResourceVersion},
		})
		if err == nil || apierrors.IsNotFound(err) {
			break
		}
		if !apierrors.IsConflict(err) {
			return err
		}
		// It has changed since it was read: what is kept is to be what was there last.
		if old, err = s.readSet(ctx, old.Namespace, old.Name); err != nil {
			return err
		}
		if next, _, err = withTemplate(old.StatefulSet, template, size); err != nil {
			return err
		}
	}
	if err := s.await(ctx, "statefulset "+old.Name+" has let go of its pods and claims", setPatience, func(ctx context.Context) (bool, error) {
		live, err := s.clients.AppsV1().StatefulSets(old.Namespace).Get(ctx, old.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return err == nil && live.DeletionTimestamp == nil, err
	}); err != nil {
		return err
	}
	_, err = s.clients.AppsV1().StatefulSets(old.Namespace).Create(ctx, next, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return wrong("somebody else has made statefulset %s/%s meanwhile; the same command goes on with that one. What was there before is in ConfigMap %s", old.Namespace, old.Name, keptSet(old.Name))
	}
	if err != nil {
		return fmt.Errorf("statefulset %s/%s is deleted and was not made again; the same command goes on, or make it yourself from ConfigMap %s:\n    kubectl -n %s get configmap %s -o go-template='{{index .data %q}}' | kubectl create -f -\n%w",
			old.Namespace, old.Name, keptSet(old.Name), old.Namespace, keptSet(old.Name), manifestKey, err)
	}
	fmt.Fprintf(s.Out, "statefulset %s/%s: volumeClaimTemplate %s asks for %s\n", old.Namespace, old.Name, template, size.String())
	old.kept = true
	return s.forget(ctx, old)
}

// keep writes the manifest down.
func (s *session) keep(ctx context.Context, next *appsv1.StatefulSet) error {
	text, err := yaml.Marshal(next)
	if err != nil {
		return err
	}
	kept := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: keptSet(next.Name), Namespace: next.Namespace, Labels: map[string]string{"app.kubernetes.io/managed-by": "kubectl-hostdir"}},
		Data:       map[string]string{manifestKey: string(text)},
	}
	maps := s.clients.CoreV1().ConfigMaps(next.Namespace)
	_, err = maps.Create(ctx, kept, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = maps.Update(ctx, kept, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("the StatefulSet is as it was, for its manifest could not be kept: %w", err)
	}
	return nil
}

// forget deletes what was kept: the StatefulSet is there.
func (s *session) forget(ctx context.Context, of *set) error {
	if !of.kept {
		return nil
	}
	err := s.clients.CoreV1().ConfigMaps(of.Namespace).Delete(ctx, keptSet(of.Name), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return errors.Join(fmt.Errorf("all is done but for ConfigMap %s/%s, which is not needed any more", of.Namespace, keptSet(of.Name)), err)
	}
	return nil
}
