package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// container is the node plugin's, in its pods.
const container = "hostdir"

// execConn is a connection to the standard input and output of a program in a pod.
type execConn struct {
	in     *io.PipeWriter
	out    *io.PipeReader
	cancel context.CancelFunc
	addr   execAddr
}

// dialExec connects to `hostdir relay` in a pod: the operators' socket of its node.
func dialExec(ctx context.Context, config *rest.Config, clients kubernetes.Interface, pod *corev1.Pod) (net.Conn, error) {
	executor, err := newExecutor(config, clients, pod, &corev1.PodExecOptions{
		Container: container, Command: []string{"/hostdir", "relay", "--endpoint=unix:///csi/csi.sock"}, Stdin: true, Stdout: true, Stderr: true,
	})
	if err != nil {
		return nil, err
	}
	// The stream outlives the context of the dial.
	streaming, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stdin, in := io.Pipe()
	out, stdout := io.Pipe()
	go func() {
		var said lastWords
		err := executor.StreamWithContext(streaming, remotecommand.StreamOptions{Stdin: stdin, Stdout: stdout, Stderr: &said})
		if err != nil {
			err = fmt.Errorf("exec in pod %s/%s: %w%s", pod.Namespace, pod.Name, err, said.String())
		}
		stdin.CloseWithError(err)
		stdout.CloseWithError(err) // nil is EOF
	}()
	return &execConn{in: in, out: out, cancel: cancel, addr: execAddr(pod.Namespace + "/" + pod.Name)}, nil
}

// newExecutor prefers WebSockets, as kubectl does, and falls back to SPDY for older
// API servers and proxies.
func newExecutor(config *rest.Config, clients kubernetes.Interface, pod *corev1.Pod, options *corev1.PodExecOptions) (remotecommand.Executor, error) {
	url := clients.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("exec").
		VersionedParams(options, scheme.ParameterCodec).URL()
	spdy, err := remotecommand.NewSPDYExecutor(config, "POST", url)
	if err != nil {
		return nil, err
	}
	webSocket, err := remotecommand.NewWebSocketExecutor(config, "GET", url.String())
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(webSocket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

func (c *execConn) Read(b []byte) (int, error)  { return c.out.Read(b) }
func (c *execConn) Write(b []byte) (int, error) { return c.in.Write(b) }

func (c *execConn) Close() error {
	c.cancel()
	return errors.Join(c.in.Close(), c.out.Close())
}

func (c *execConn) LocalAddr() net.Addr  { return c.addr }
func (c *execConn) RemoteAddr() net.Addr { return c.addr }

// Deadlines are the caller's context's: it closes the connection.
func (c *execConn) SetDeadline(time.Time) error      { return nil }
func (c *execConn) SetReadDeadline(time.Time) error  { return nil }
func (c *execConn) SetWriteDeadline(time.Time) error { return nil }

type execAddr string

func (a execAddr) Network() string { return "exec" }
func (a execAddr) String() string  { return string(a) }

// lastWords keeps the beginning of what a program says on standard error.
type lastWords struct {
	mu   sync.Mutex
	text bytes.Buffer
}

const maxLastWords = 4 << 10

func (w *lastWords) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(b[:min(len(b), max(0, maxLastWords-w.text.Len()))])
	return len(b), nil
}

// String is for the end of an error.
func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if text := strings.TrimSpace(w.text.String()); text != "" {
		return ": " + text
	}
	return ""
}
