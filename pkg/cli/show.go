package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/cli/why"
	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pod"
)

// detail is everything about one claim.
type detail struct {
	volume
	Class         string            `json:"class,omitempty"`
	AccessModes   []string          `json:"accessModes,omitempty"`
	Asked         string            `json:"asked"`
	ReclaimPolicy string            `json:"reclaimPolicy,omitempty"`
	Attributes    map[string]string `json:"attributes,omitempty"`
	Record        *admin.Volume     `json:"record,omitempty"`
	// BeganAs is what the volume, or the claim that waits, is a copy of.
	BeganAs string `json:"beganAs,omitempty"`
	// Taken are the snapshots of the volume.
	Taken  []nodeSnapshot `json:"takenSnapshots,omitempty"`
	Mounts []mount        `json:"mounts,omitempty"`
	Events []event        `json:"events,omitempty"`
	Unseen unseen         `json:"unseen,omitempty"`
}

// mount is where a container has the claim.
type mount struct {
	Pod       string `json:"pod"`
	Phase     string `json:"phase"`
	Node      string `json:"node,omitempty"`
	Container string `json:"container"`
	Path      string `json:"path"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
}

type event struct {
	At      time.Time `json:"at"`
	Type    string    `json:"type"`
	About   string    `json:"about"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
}

func newShow(s *session) *cobra.Command {
	var out output
	command := &cobra.Command{
		Use:               "show CLAIM",
		Short:             "Show everything about one claim: volume, directory, pods, events",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completion(s.completeClaims).first(),
		RunE:              func(command *cobra.Command, args []string) error { return s.show(command.Context(), args[0], &out) },
	}
	out.addFlags(command.Flags())
	return command
}

func (s *session) show(ctx context.Context, arg string, out *output) error {
	ref, err := s.claimRef(arg)
	if err != nil {
		return err
	}
	c, err := s.claimView(ctx, ref)
	if err != nil {
		return err
	}
	c.ask(ctx, s)
	d := c.detail()
	events, err := c.events(ctx, s.clients)
	d.Events = events
	d.Unseen.add("events", err)
	if out.format == "table" || out.format == "wide" {
		err = d.write(s.Out, time.Now())
	} else {
		err = out.print(s.Out, d, func() rows { return rows{names: []string{d.name()}} })
	}
	if err != nil {
		return err
	}
	d.Unseen.write(s.ErrOut)
	return d.Unseen.failure()
}

func (c *claimView) detail() *detail {
	d := &detail{volume: c.volume, Record: c.record, BeganAs: c.began, Taken: c.snapshots, Unseen: c.unseen}
	if kind, namespace, name := why.BeginsAs(c.object); d.BeganAs == "" && kind != "" {
		d.BeganAs = kind + " " + namespace + "/" + name
	}
	asked := c.object.Spec.Resources.Requests[corev1.ResourceStorage]
	d.Asked = asked.String()
	if class := c.object.Spec.StorageClassName; class != nil {
		d.Class = *class
	}
	for _, m := range c.object.Spec.AccessModes {
		d.AccessModes = append(d.AccessModes, string(m))
	}
	if c.pv != nil {
		d.ReclaimPolicy, d.Attributes = string(c.pv.Spec.PersistentVolumeReclaimPolicy), c.pv.Spec.CSI.VolumeAttributes
	}
	for i := range c.pods {
		d.Mounts = append(d.Mounts, mountsOf(&c.pods[i], c.Claim)...)
	}
	return d
}

// mountsOf finds where the containers of a pod have a claim.
func mountsOf(p *corev1.Pod, claim string) []mount {
	var found []mount
	claims := pod.Claims(p)
	volumes := slices.DeleteFunc(slices.Clone(p.Spec.Volumes), func(v corev1.Volume) bool { return v.PersistentVolumeClaim == nil && v.Ephemeral == nil })
	for i, v := range volumes {
		if claims[i] != claim {
			continue
		}
		for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			for _, m := range c.VolumeMounts {
				if m.Name == v.Name {
					readOnly := m.ReadOnly || v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ReadOnly
					found = append(found, mount{p.Name, string(p.Status.Phase), p.Spec.NodeName, c.Name, m.MountPath, readOnly})
				}
			}
		}
	}
	return found
}

// events finds those of the claim, its pods and its volume, the newest last.
func (c *claimView) events(ctx context.Context, clients kubernetes.Interface) ([]event, error) {
	about := map[string]bool{"PersistentVolumeClaim/" + c.Claim: true}
	for _, p := range c.pods {
		about["Pod/"+p.Name] = true
	}
	var found []event
	gather := func(e *corev1.Event) {
		subject := e.InvolvedObject.Kind + "/" + e.InvolvedObject.Name
		if about[subject] {
			found = append(found, event{eventTime(e), e.Type, subject, e.Reason, e.Message})
		}
	}
	err := each(ctx, pages(clients.CoreV1().Events(c.Namespace).List), gather)
	if c.pv != nil && err == nil {
		about = map[string]bool{"PersistentVolume/" + c.pv.Name: true}
		err = each(ctx, pages(clients.CoreV1().Events(metav1.NamespaceDefault).List), gather)
	}
	slices.SortStableFunc(found, func(a, b event) int { return a.At.Compare(b.At) })
	return found, err
}

func eventTime(e *corev1.Event) time.Time {
	if e.Series != nil {
		return e.Series.LastObservedTime.Time
	}
	for _, at := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time} {
		if !at.IsZero() {
			return at
		}
	}
	return e.CreationTimestamp.Time
}

// write writes for people.
func (d *detail) write(w io.Writer, now time.Time) error {
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	line := func(label, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s:\t%s\n", label, oneLine(value))
		}
	}
	line("Claim", d.name())
	line("Status", d.Status)
	line("Class", d.Class)
	line("Access modes", strings.Join(d.AccessModes, ", "))
	line("Volume", d.PersistentVolume)
	line("Volume ID", d.ID)
	line("Reclaim policy", d.ReclaimPolicy)
	line("Node", d.Node)
	line("Pool", d.Pool)
	line("Path", d.Path)
	line("Size", d.sizeWords())
	line("Used", d.usedWords())
	line("Quota", d.Quota)
	if d.PersistentVolume == "" {
		line("Begins as", d.BeganAs)
	} else {
		line("Began as", d.BeganAs)
	}
	if d.Record != nil {
		line("Quarantine", d.Record.Quarantine)
		if made := d.Record.Claim; made != nil && made.String() != d.name() {
			line("Made for", made.String())
		}
		if d.Record.Node != d.Node {
			line("Made on", d.Record.Node)
		}
	}
	line("Age", age(d.Created, now))
	if d.UnusedSince != nil {
		line("Unused for", age(d.UnusedSince, now))
	}
	if d.PersistentVolume == "" {
		line("Waits", "kubectl hostdir why "+d.name()+" says what for")
	}
	if len(d.Mounts) > 0 {
		fmt.Fprint(t, "\nPOD\tCONTAINER\tMOUNTED AT\tPOD IS\n")
	}
	for _, m := range d.Mounts {
		path := m.Path
		if m.ReadOnly {
			path += " (read-only)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", m.Pod, m.Container, path, cmp.Or(m.Phase, unknown))
	}
	if len(d.Taken) > 0 {
		fmt.Fprint(t, "\nSNAPSHOT\tHOLDS\tALONE\tMETHOD\tCONSISTENCY\tAGE\tREADY\n")
	}
	for _, s := range d.Taken {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s, s.holds(), size(s.AloneBytes), cmp.Or(s.Method, unknown), cmp.Or(s.Consistency, unknown), age(s.Created, now), s.State())
	}
	if len(d.Events) > 0 {
		fmt.Fprint(t, "\nAGE\tTYPE\tABOUT\tREASON\tEVENT\n")
	}
	for _, e := range d.Events {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", age(&e.At, now), e.Type, e.About, e.Reason, oneLine(e.Message))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func (d *detail) sizeWords() string {
	if d.SizeBytes == 0 {
		return d.Asked + " asked for"
	}
	has := config.FormatSize(d.SizeBytes)
	if has != d.Asked {
		has += ", " + d.Asked + " asked for"
	}
	return has
}

func (d *detail) usedWords() string {
	if d.UsedBytes == nil {
		return ""
	}
	used := config.FormatSize(*d.UsedBytes)
	if d.SizeBytes > 0 {
		used += " " + usedBar(*d.UsedBytes, d.SizeBytes)
	}
	if d.Record != nil && d.Record.Used.Inodes != nil {
		used += fmt.Sprintf(", %d files and directories", *d.Record.Used.Inodes)
	}
	return used
}
