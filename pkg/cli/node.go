package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostdir/hostdir/pkg/admin"
)

// pluginPods selects the node plugin's pods, as the chart labels them.
const pluginPods = "app.kubernetes.io/name=hostdir,app.kubernetes.io/component=node"

// dialNode connects to the operators' socket of the pod's node.
type dialNode func(ctx context.Context, pod *corev1.Pod) (net.Conn, error)

// node is one that the node plugin has a pod on.
type node struct {
	name string
	pod  *corev1.Pod
	// plugin answers by way of the pod.
	plugin *admin.Client
}

// nodes returns the nodes that the plugin has a pod on, by name; of several pods of a
// node, during an update, the one that is ready.
func (s *session) nodes(ctx context.Context) ([]*node, error) {
	clients, err := s.client()
	if err != nil {
		return nil, err
	}
	pods, err := clients.CoreV1().Pods(s.system).List(ctx, metav1.ListOptions{LabelSelector: pluginPods})
	if err != nil {
		if apierrors.IsForbidden(err) {
			err = fmt.Errorf("%w; the Role hostdir-nodes in that namespace allows what kubectl hostdir asks of nodes", err)
		}
		return nil, err
	}
	if len(pods.Items) == 0 {
		return nil, fmt.Errorf("no pod of hostdir is in namespace %s: is it installed there? --system-namespace names another one", s.system)
	}
	byName := map[string]*node{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		name := pod.Spec.NodeName
		if before := byName[name]; name == "" || before != nil && isReady(before.pod) {
			continue
		}
		byName[name] = s.newNode(pod)
	}
	var all []*node
	for _, n := range byName {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *node) int { return cmp.Compare(a.name, b.name) })
	return all, nil
}

// node returns the node of this name.
func (s *session) node(ctx context.Context, name string) (*node, error) {
	all, err := s.nodes(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		if n.name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("hostdir has no pod on node %s", name)
}

func (s *session) newNode(pod *corev1.Pod) *node {
	dial := s.dial
	if dial == nil {
		dial = func(ctx context.Context, pod *corev1.Pod) (net.Conn, error) {
			return dialExec(ctx, s.config, s.clients, pod)
		}
	}
	n := &node{name: pod.Spec.NodeName, pod: pod}
	n.plugin = &admin.Client{Dial: func(ctx context.Context) (net.Conn, error) {
		if !runs(pod) {
			return nil, fmt.Errorf("container %s of pod %s/%s does not run", container, pod.Namespace, pod.Name)
		}
		return dial(ctx, pod)
	}}
	return n
}

// runs reports whether the plugin's container runs. Its pod is Pending as long as one
// beside it has never started.
func runs(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning || slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.Name == container && c.State.Running != nil
	})
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

const (
	// atOnce is how many nodes are asked at the same time.
	atOnce = 32
	// patience is how long one may take to answer what it knows without looking.
	patience = 20 * time.Second
)

// answer is what came of asking a node.
type answer[T any] struct {
	node  *node
	value T
	err   error
}

// askAll asks all nodes side by side, and returns the answers in their order. A node
// that does not answer keeps no other one from it.
func askAll[T any](ctx context.Context, nodes []*node, timeout time.Duration, ask func(ctx context.Context, n *node) (T, error)) []answer[T] {
	answers := make([]answer[T], len(nodes))
	turns := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			value, err := ask(ctx, n)
			if err != nil {
				err = fmt.Errorf("node %s: %w", n.name, err)
			}
			answers[i] = answer[T]{n, value, err}
		})
	}
	all.Wait()
	return answers
}

// unanswered joins the errors of those that did not answer.
func unanswered[T any](answers []answer[T]) error {
	var errs []error
	for _, a := range answers {
		errs = append(errs, a.err)
	}
	return errors.Join(errs...)
}

// ordered is what came of an order to the node.
func (n *node) ordered(err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("node %s: %w", n.name, err)
	if errors.Is(err, admin.ErrRefused) {
		return &statusError{Wrong, err}
	}
	return err
}
