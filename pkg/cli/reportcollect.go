package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// ourObjects selects hostdir's own in its namespace, as the chart labels them.
	ourObjects = "app.kubernetes.io/name=hostdir"
	// ourCapacities selects what csi-provisioner labels with the driver's name.
	ourCapacities = "csi.storage.k8s.io/drivername="

	// A log is bounded in lines, the last ones, and in bytes.
	maxLogLines = 5000
	maxLogBytes = 4 << 20
	logPatience = time.Minute
)

// collect adds all that a report holds.
func (s *session) collect(ctx context.Context, a *archive) {
	s.collectObjects(ctx, a)
	pods, err := s.clients.CoreV1().Pods(s.system).List(ctx, metav1.ListOptions{LabelSelector: ourObjects})
	a.addObject("pods.yaml", pods, err)
	if err == nil {
		s.collectEvents(ctx, a)
		s.collectLogs(ctx, a, pods.Items)
	}
	nodes, err := s.nodes(ctx)
	if err != nil {
		a.add("nodes", nil, err)
	}
	s.collectNodes(ctx, a, nodes)
	s.collectVersions(ctx, a, nodes)
}

func (s *session) collectObjects(ctx context.Context, a *archive) {
	ours := metav1.ListOptions{LabelSelector: ourObjects}
	all := metav1.ListOptions{}
	core, storage, apps := s.clients.CoreV1(), s.clients.StorageV1(), s.clients.AppsV1()

	config, err := core.ConfigMaps(s.system).Get(ctx, "hostdir-node", metav1.GetOptions{})
	a.addObject("configuration.yaml", config, err)
	daemonSets, err := apps.DaemonSets(s.system).List(ctx, ours)
	a.addObject("daemonsets.yaml", daemonSets, err)
	deployments, err := apps.Deployments(s.system).List(ctx, ours)
	a.addObject("deployments.yaml", deployments, err)
	driver, err := storage.CSIDrivers().Get(ctx, s.driver, metav1.GetOptions{})
	a.addObject("csidriver.yaml", driver, err)
	capacities, err := storage.CSIStorageCapacities(s.system).List(ctx, metav1.ListOptions{LabelSelector: ourCapacities + s.driver})
	a.addObject("csistoragecapacities.yaml", capacities, err)

	classes, err := storage.StorageClasses().List(ctx, all)
	if err == nil {
		classes.Items = slices.DeleteFunc(classes.Items, func(c storagev1.StorageClass) bool { return c.Provisioner != s.driver })
	}
	a.addObject("storageclasses.yaml", classes, err)
	volumes, err := core.PersistentVolumes().List(ctx, all)
	if err == nil {
		volumes.Items = slices.DeleteFunc(volumes.Items, func(v corev1.PersistentVolume) bool { return v.Spec.CSI == nil || v.Spec.CSI.Driver != s.driver })
	}
	a.addObject("persistentvolumes.yaml", volumes, err)
	csiNodes, err := storage.CSINodes().List(ctx, all)
	if err == nil {
		csiNodes.Items = slices.DeleteFunc(csiNodes.Items, func(n storagev1.CSINode) bool {
			return !slices.ContainsFunc(n.Spec.Drivers, func(d storagev1.CSINodeDriver) bool { return d.Name == s.driver })
		})
	}
	a.addObject("csinodes.yaml", csiNodes, err)
}

// collectEvents adds those of hostdir's own objects. They share a namespace with
// others, maybe, and all of theirs are named so.
func (s *session) collectEvents(ctx context.Context, a *archive) {
	events, err := s.clients.CoreV1().Events(s.system).List(ctx, metav1.ListOptions{})
	if err == nil {
		events.Items = slices.DeleteFunc(events.Items, func(e corev1.Event) bool { return !strings.HasPrefix(e.InvolvedObject.Name, "hostdir-") })
	}
	a.addObject("events.yaml", events, err)
}

func (s *session) collectLogs(ctx context.Context, a *archive, pods []corev1.Pod) {
	turns := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for _, pod := range pods {
		for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			for _, previous := range []bool{false, true} {
				if previous && status.RestartCount == 0 {
					continue
				}
				all.Go(func() {
					turns <- struct{}{}
					defer func() { <-turns }()
					name := fmt.Sprintf("logs/%s/%s.log", pod.Name, status.Name)
					if previous {
						name = fmt.Sprintf("logs/%s/%s.previous.log", pod.Name, status.Name)
					}
					text, err := s.log(ctx, pod.Name, status.Name, previous)
					a.add(name, text, err)
				})
			}
		}
	}
	all.Wait()
}

// log returns the end of a container's log.
func (s *session) log(ctx context.Context, pod, container string, previous bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, logPatience)
	defer cancel()
	lines, size := int64(maxLogLines), int64(maxLogBytes)
	stream, err := s.clients.CoreV1().Pods(s.system).GetLogs(pod, &corev1.PodLogOptions{
		Container: container, Previous: previous, TailLines: &lines, LimitBytes: &size, Timestamps: true,
	}).Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var text bytes.Buffer
	_, err = io.Copy(&text, stream)
	return text.Bytes(), err
}

// collectNodes adds what the nodes know themselves.
func (s *session) collectNodes(ctx context.Context, a *archive, nodes []*node) {
	askAll(ctx, nodes, checkPatience, func(ctx context.Context, n *node) (struct{}, error) {
		here := "nodes/" + n.name + "/"
		disks, err := askWithin(ctx, patience, n.plugin.Disks)
		a.addJSON(here+"disks.json", disks, err)
		if err != nil {
			return struct{}{}, err // what does not answer once is not asked four times more
		}
		volumes, err := askWithin(ctx, patience, n.plugin.Volumes)
		a.addJSON(here+"volumes.json", volumes, err)
		snapshots, err := askWithin(ctx, patience, n.plugin.Snapshots)
		a.addJSON(here+"snapshots.json", snapshots, err)
		trash, err := askWithin(ctx, patience, n.plugin.Trash)
		a.addJSON(here+"trash.json", trash, err)
		check, err := n.plugin.Check(ctx)
		a.addJSON(here+"check.json", check, err)
		return struct{}{}, nil
	})
}

// askWithin asks, and waits so long for the answer.
func askWithin[T any](ctx context.Context, timeout time.Duration, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return ask(ctx)
}

// versions are what runs.
type versions struct {
	Program    string         `json:"program"`
	Kubernetes string         `json:"kubernetes,omitempty"`
	Nodes      []nodeVersions `json:"nodes"`
}

type nodeVersions struct {
	Node string `json:"node"`
	// Hostdir is the node plugin's, "" if it does not answer.
	Hostdir      string `json:"hostdir,omitempty"`
	Kubelet      string `json:"kubelet,omitempty"`
	Kernel       string `json:"kernel,omitempty"`
	OS           string `json:"os,omitempty"`
	Runtime      string `json:"containerRuntime,omitempty"`
	Architecture string `json:"architecture,omitempty"`
}

func (s *session) collectVersions(ctx context.Context, a *archive, nodes []*node) {
	v := versions{Program: s.version, Nodes: []nodeVersions{}}
	if server, err := s.clients.Discovery().ServerVersion(); err == nil {
		v.Kubernetes = server.GitVersion
	} else {
		a.add("the version of Kubernetes", nil, err)
	}
	objects, err := s.clients.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		a.add("the versions of nodes", nil, err)
		objects = &corev1.NodeList{}
	}
	for _, n := range nodes {
		of := nodeVersions{Node: n.name, Hostdir: n.plugin.Version()}
		for i := range objects.Items {
			if info := objects.Items[i].Status.NodeInfo; objects.Items[i].Name == n.name {
				of.Kubelet, of.Kernel, of.OS, of.Runtime, of.Architecture = info.KubeletVersion, info.KernelVersion, info.OSImage, info.ContainerRuntimeVersion, info.Architecture
			}
		}
		v.Nodes = append(v.Nodes, of)
	}
	a.addJSON("versions.json", v, nil)
}
