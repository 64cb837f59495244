package cli

import (
	"context"
	"sync"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
)

// session is one call of the program.
type session struct {
	genericiooptions.IOStreams
	version string
	flags   *genericclioptions.ConfigFlags
	// system is the namespace that hostdir runs in, driver its name for CSI.
	system, driver string

	// warned is whether versions were compared.
	warned bool

	// once guards what follows; tests set clients beforehand.
	once    sync.Once
	config  *rest.Config
	clients kubernetes.Interface
	dynamic dynamic.Interface
	err     error
	// dial reaches a node's plugin in another way than by exec, for tests.
	dial dialNode
	// runInPod runs a command in a pod in another way than by exec, for tests.
	runInPod func(context.Context, *corev1.Pod, []string, remotecommand.StreamOptions) error
}

func (s *session) addFlags(flags *pflag.FlagSet) {
	s.flags.AddFlags(flags)
	flags.StringVar(&s.system, "system-namespace", "hostdir-system", "the namespace that hostdir runs in")
	flags.StringVar(&s.driver, "driver-name", "csi.hostdir.io", "the name of the CSI driver")
}

// client returns the client of the API server.
func (s *session) client() (kubernetes.Interface, error) {
	s.once.Do(func() {
		if s.clients != nil {
			return
		}
		if s.config, s.err = s.flags.ToRESTConfig(); s.err != nil {
			return
		}
		// A hundred nodes are asked at once; the server has limits of its own.
		s.config.QPS, s.config.Burst = -1, 0
		if s.clients, s.err = kubernetes.NewForConfig(s.config); s.err == nil {
			s.dynamic, s.err = dynamic.NewForConfig(s.config)
		}
	})
	return s.clients, s.err
}

// namespace is the one that the person means, from --namespace or the kubeconfig.
func (s *session) namespace() (string, error) {
	namespace, _, err := s.flags.ToRawKubeConfigLoader().Namespace()
	return namespace, err
}
