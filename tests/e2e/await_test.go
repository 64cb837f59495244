//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// patience is how long anything may take: far more than it does on an idle
// machine, and more than the two minutes that kubelet lets pass, in the end,
// between one attempt to mount a volume and the next.
var patience = 4 * time.Minute

// A kind is a resource of the API whose objects are of one type.
type kind[T runtime.Object] struct {
	resource string
	example  T
	client   func(*cluster) rest.Interface
}

var (
	capacities = kind[*storagev1.CSIStorageCapacity]{"csistoragecapacities", &storagev1.CSIStorageCapacity{}, storage}
	claims     = kind[*corev1.PersistentVolumeClaim]{"persistentvolumeclaims", &corev1.PersistentVolumeClaim{}, core}
	csiNodes   = kind[*storagev1.CSINode]{"csinodes", &storagev1.CSINode{}, storage}
	events     = kind[*corev1.Event]{"events", &corev1.Event{}, core}
	namespaces = kind[*corev1.Namespace]{"namespaces", &corev1.Namespace{}, core}
	pods       = kind[*corev1.Pod]{"pods", &corev1.Pod{}, core}
	volumes    = kind[*corev1.PersistentVolume]{"persistentvolumes", &corev1.PersistentVolume{}, core}
)

func core(c *cluster) rest.Interface    { return c.CoreV1().RESTClient() }
func storage(c *cluster) rest.Interface { return c.StorageV1().RESTClient() }

// A query selects objects of a kind. Without a namespace it means objects that
// have none, or those of all namespaces.
type query struct{ namespace, fields, labels string }

func named(name string) query { return query{fields: "metadata.name=" + name} }

// in selects by name in the test's namespace.
func (t *test) in(name string) query {
	return query{namespace: t.namespace, fields: "metadata.name=" + name}
}

// await watches the selected objects until met returns nil for all of them
// together, and returns them. Until then met says what is lacking.
func await[T runtime.Object](t *test, what string, k kind[T], q query, met func([]T) error) []T {
	t.Helper()
	all, err := observe(t.cluster, k, q, met)
	if err != nil {
		t.Fatalf("waited %s in vain until %s: %v", patience, what, err)
	}
	return all
}

func observe[T runtime.Object](c *cluster, k kind[T], q query, met func([]T) error) ([]T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	changed := make(chan struct{}, 1)
	wake := func() {
		select {
		case changed <- struct{}{}:
		default: // awake already
		}
	}
	store, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewFilteredListWatchFromClient(k.client(c), k.resource, q.namespace, func(o *metav1.ListOptions) {
			o.FieldSelector, o.LabelSelector = q.fields, q.labels
		}),
		ObjectType: k.example,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { wake() },
			UpdateFunc: func(any, any) { wake() },
			DeleteFunc: func(any) { wake() },
		},
	})
	go informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil, errors.New("the API server does not list " + k.resource)
	}
	for {
		var all []T
		for _, object := range store.List() {
			all = append(all, object.(T))
		}
		lacking := met(all)
		if lacking == nil {
			return all, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, lacking
		}
	}
}

// warned waits for a warning about an object, not older than since, that has one of
// these phrases. Events about what has no namespace are in any.
func (t *test) warned(namespace, object string, since time.Time, phrases []string) {
	t.Helper()
	q := query{namespace: namespace, fields: "type=Warning,involvedObject.name=" + object}
	await(t, fmt.Sprintf("an event about %s says one of %q", object, phrases), events, q, func(all []*corev1.Event) error {
		var others []string
		for _, e := range all {
			if lastSeen(e).Before(since.Truncate(time.Second)) {
				continue
			}
			if slices.ContainsFunc(phrases, func(p string) bool { return strings.Contains(e.Message, p) }) {
				t.Logf("%s of %s: %s", e.Reason, object, e.Message)
				return nil
			}
			others = append(others, e.Message)
		}
		return fmt.Errorf("they say %q", others)
	})
}

// lastSeen is when an event came the last time, at least to the second.
func lastSeen(e *corev1.Event) time.Time {
	if e.Series != nil {
		return e.Series.LastObservedTime.Time
	}
	if e.LastTimestamp.IsZero() {
		return e.EventTime.Time
	}
	return e.LastTimestamp.Time
}

// none is met when no object is left.
func none[T runtime.Object](all []T) error {
	if len(all) > 0 {
		return fmt.Errorf("there are still %d", len(all))
	}
	return nil
}

// one makes a condition on a single object one on all that were selected.
func one[T runtime.Object](met func(T) error) func([]T) error {
	return func(all []T) error {
		if len(all) != 1 {
			return fmt.Errorf("there are %d, not one", len(all))
		}
		return met(all[0])
	}
}
