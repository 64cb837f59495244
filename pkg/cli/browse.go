package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
)

// browseOptions are how a claim is looked into.
type browseOptions struct {
	image   string
	user    int64
	timeout time.Duration
	command []string
}

const (
	browseContainer = "browse"
	browseMount     = "/claim"
	// browseDeadline ends the pod of a program that could not delete it.
	browseDeadline = 8 * time.Hour
	// lastPatience is how long the deletion of the pod may take to be asked for.
	lastPatience = 10 * time.Second
	// glance is the pause between two looks at a pod that starts.
	glance = 200 * time.Millisecond
)

func newBrowse(s *session) *cobra.Command {
	o := browseOptions{user: -1}
	command := &cobra.Command{
		Use:   "browse CLAIM [-- COMMAND...]",
		Short: "Open a shell that has a claim mounted read-only",
		Long: `Start a pod on the claim's node that has the claim mounted read-only at ` + browseMount + `, open a shell in it, or run
COMMAND, and delete the pod afterwards, also on Ctrl-C. Pods that use the claim are not disturbed.`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completion(s.completeClaims).first(),
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) > 1 && command.ArgsLenAtDash() != 1 {
				return fmt.Errorf("write the command behind --: kubectl hostdir browse %s -- %s", args[0], strings.Join(args[1:], " "))
			}
			o.command = args[1:]
			return s.browse(command.Context(), args[0], o)
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.image, "image", "busybox:1.37", "the pod's image, which has a shell and sleep")
	flags.Int64Var(&o.user, "user", -1, "the user ID to look with, as namespaces ask that admit no root; it sees what that user may (default: root)")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Minute, "how long the pod may take to start")
	return command
}

func (s *session) browse(ctx context.Context, arg string, o browseOptions) (err error) {
	ref, err := s.claimRef(arg)
	if err != nil {
		return err
	}
	c, err := s.claimView(ctx, ref)
	if err != nil {
		return err
	}
	if err := c.browsable(ctx, s); err != nil {
		return err
	}
	pods := s.clients.CoreV1().Pods(ref.Namespace)
	// Whoever interrupts the creation would not learn which pod to delete.
	creating, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.timeout)
	pod, err := pods.Create(creating, browsePod(c, o), metav1.CreateOptions{})
	cancel()
	if err != nil {
		return fmt.Errorf("the pod to look into claim %s with is not admitted: %w", ref, err)
	}
	defer func() {
		deleting, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPatience)
		defer cancel()
		if gone := pods.Delete(deleting, pod.Name, metav1.DeleteOptions{}); gone != nil && !apierrors.IsNotFound(gone) {
			err = errors.Join(err, fmt.Errorf("pod %s/%s stays, for %s at most; delete it: %w", pod.Namespace, pod.Name, browseDeadline, gone))
		}
	}()
	fmt.Fprintf(s.ErrOut, "Claim %s is at %s in pod %s, read-only; the pod is deleted when this ends\n", ref, browseMount, pod.Name)
	running, err := s.awaitPod(ctx, pod, o.timeout)
	if err != nil {
		return err
	}
	return s.shell(ctx, running, o.command)
}

// browsable says why no pod can look into the claim, nil if one can.
func (c *claimView) browsable(ctx context.Context, s *session) error {
	if err := c.bound(); err != nil {
		return err
	}
	name := c.name()
	switch {
	case c.object.Status.Phase == corev1.ClaimLost:
		return wrong("claim %s has lost its volume; kubectl hostdir why %s", name, name)
	case c.object.DeletionTimestamp != nil:
		return wrong("claim %s is being deleted: no new pod gets it", name)
	case c.pv != nil && c.pv.DeletionTimestamp != nil:
		return wrong("the volume of claim %s is being deleted: no new pod gets it", name)
	}
	if slices.Contains(c.object.Spec.AccessModes, corev1.ReadWriteOncePod) && len(c.pods) > 0 {
		return wrong("claim %s is ReadWriteOncePod, and pod %s has it: look from there, with kubectl -n %s exec -it %s -- sh", name, c.pods[0].Name, c.Namespace, c.pods[0].Name)
	}
	if c.Node == "" {
		return nil
	}
	node, err := s.clients.CoreV1().Nodes().Get(ctx, c.Node, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return wrong("claim %s is on node %s, which is not there: no pod can have it", name, c.Node)
	case err != nil:
		return nil // whoever may not see nodes is told by the pod
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			return wrong("claim %s is on node %s, which is not ready: no pod starts there (%s)", name, c.Node, condition.Message)
		}
	}
	return nil
}

// browsePod is placed by the scheduler, which knows the volume's node. As root it has
// the one capability that reads files of all owners; with a user it is one that
// restricted namespaces admit.
func browsePod(c *claimView, o browseOptions) *corev1.Pod {
	no, yes, deadline, grace := false, true, int64(browseDeadline.Seconds()), int64(1)
	security := &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if o.user >= 0 {
		nonRoot := o.user != 0
		security.RunAsUser, security.RunAsNonRoot = &o.user, &nonRoot
	}
	if o.user <= 0 {
		security.Capabilities.Add = []corev1.Capability{"DAC_OVERRIDE"}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "hostdir-browse-", Namespace: c.Namespace,
			Labels: map[string]string{"app.kubernetes.io/managed-by": "kubectl-hostdir"},
		},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, ActiveDeadlineSeconds: &deadline, TerminationGracePeriodSeconds: &grace,
			AutomountServiceAccountToken: &no, EnableServiceLinks: &no,
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}, // the claim's node has no substitute
			Containers: []corev1.Container{{
				Name: browseContainer, Image: o.image, Command: []string{"sleep", fmt.Sprint(deadline)}, WorkingDir: browseMount,
				VolumeMounts:    []corev1.VolumeMount{{Name: "claim", MountPath: browseMount, ReadOnly: true}},
				SecurityContext: security,
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi")},
					Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
				},
			}},
			Volumes: []corev1.Volume{{Name: "claim", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c.Claim, ReadOnly: true},
			}}},
		},
	}
}

// awaitPod waits until the pod runs.
func (s *session) awaitPod(ctx context.Context, pod *corev1.Pod, timeout time.Duration) (*corev1.Pod, error) {
	deadline := time.After(timeout)
	for {
		now, err := s.clients.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		switch {
		case err != nil:
			return nil, err
		case now.Status.Phase == corev1.PodRunning:
			return now, nil
		case now.Status.Phase == corev1.PodFailed || now.Status.Phase == corev1.PodSucceeded:
			return nil, fmt.Errorf("pod %s has ended: %s", pod.Name, podWords(now))
		}
		for _, c := range now.Status.ContainerStatuses {
			if w := c.State.Waiting; w != nil && cannotStart[w.Reason] {
				return nil, fmt.Errorf("pod %s does not start: %s: %s; --image names another image", pod.Name, w.Reason, w.Message)
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-deadline:
			return nil, fmt.Errorf("pod %s does not start within %s: %s", pod.Name, timeout, s.whyNotStarted(ctx, now))
		case <-time.After(glance):
		}
	}
}

// cannotStart are the reasons that do not pass.
var cannotStart = map[string]bool{"ErrImagePull": true, "ImagePullBackOff": true, "InvalidImageName": true, "ErrImageNeverPull": true, "CreateContainerConfigError": true}

// whyNotStarted is the last that Kubernetes said about the pod.
func (s *session) whyNotStarted(ctx context.Context, pod *corev1.Pod) string {
	says := podWords(pod)
	var last time.Time
	each(ctx, pages(s.clients.CoreV1().Events(pod.Namespace).List), func(e *corev1.Event) {
		if e.InvolvedObject.Name == pod.Name && e.Type == corev1.EventTypeWarning && !eventTime(e).Before(last) {
			last, says = eventTime(e), e.Message
		}
	})
	return says
}

// shell runs a command, or a shell, in the pod, on the person's terminal if there is
// one.
func (s *session) shell(ctx context.Context, pod *corev1.Pod, command []string) error {
	if len(command) == 0 {
		command = []string{"sh"}
	}
	terminal, restore, err := s.rawTerminal()
	if err != nil {
		return err
	}
	defer restore()
	options := remotecommand.StreamOptions{Stdin: s.In, Stdout: s.Out, Stderr: s.ErrOut, Tty: terminal != nil}
	if terminal != nil {
		options.Stderr = nil // a terminal has one output
		options.TerminalSizeQueue = terminal
	}
	run := s.runInPod
	if run == nil {
		run = s.execInPod
	}
	err = run(ctx, pod, command, options)
	if ended, ok := errors.AsType[exec.CodeExitError](err); ok {
		if options.Tty {
			return nil // of whatever the person did last
		}
		return &statusError{Wrong, fmt.Errorf("%s ended with status %d", command[0], ended.Code)}
	}
	return err
}

// execInPod runs a command in the pod's container.
func (s *session) execInPod(ctx context.Context, pod *corev1.Pod, command []string, streams remotecommand.StreamOptions) error {
	executor, err := newExecutor(s.config, s.clients, pod, &corev1.PodExecOptions{
		Container: browseContainer, Command: command, Stdin: streams.Stdin != nil, Stdout: true, Stderr: streams.Stderr != nil, TTY: streams.Tty,
	})
	if err != nil {
		return err
	}
	return executor.StreamWithContext(ctx, streams)
}
