package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/hostdir/hostdir/pkg/config"
)

// volumesQuery is which volumes are shown, and in which order.
type volumesQuery struct {
	allNamespaces    bool
	node, pool, sort string
	unused           string
}

func newVolumes(s *session) *cobra.Command {
	var out output
	var query volumesQuery
	command := &cobra.Command{
		Use:   "volumes",
		Short: "Show the claims of a namespace as df does: where they are, what they hold",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return out.repeat(command.Context(), s, func(ctx context.Context) (shown, error) { return s.showVolumes(ctx, query) })
		},
	}
	flags := command.Flags()
	out.addFlags(flags)
	out.addWatch(flags)
	flags.BoolVarP(&query.allNamespaces, "all-namespaces", "A", false, "of all namespaces, and what no claim uses")
	flags.StringVar(&query.node, "node", "", "only on this node")
	flags.StringVar(&query.pool, "pool", "", "only of this pool")
	flags.StringVar(&query.sort, "sort", "claim", "by what: "+strings.Join(orderNames(orders), ", "))
	flags.StringVar(&query.unused, "unused", "", "only claims that no pod has used for so long, such as 30d or 12h")
	command.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(orderNames(orders), cobra.ShellCompDirectiveNoFileComp))
	return command
}

// order is something that rows of a table can be sorted by.
type order[T any] struct {
	name    string
	compare func(a, b T) int
}

var orders = []order[*volume]{
	{"claim", func(a, b *volume) int { return 0 }},
	{"node", func(a, b *volume) int { return cmp.Compare(a.Node, b.Node) }},
	{"pool", func(a, b *volume) int { return cmp.Compare(a.Pool, b.Pool) }},
	{"size", func(a, b *volume) int { return cmp.Compare(b.SizeBytes, a.SizeBytes) }},
	{"used", func(a, b *volume) int { return cmp.Compare(b.used(), a.used()) }},
	{"full", func(a, b *volume) int { return cmp.Compare(b.fullness(), a.fullness()) }},
	{"age", func(a, b *volume) int { return compareTimes(a.Created, b.Created) }},
	{"unused", func(a, b *volume) int { return compareTimes(a.UnusedSince, b.UnusedSince) }},
}

func orderNames[T any](orders []order[T]) []string {
	var names []string
	for _, o := range orders {
		names = append(names, o.name)
	}
	return names
}

// orderOf returns the order of a name, as --sort has it.
func orderOf[T any](orders []order[T], name string) (order[T], error) {
	for _, o := range orders {
		if o.name == name {
			return o, nil
		}
	}
	return order[T]{}, fmt.Errorf("--sort=%s is none of %s", name, strings.Join(orderNames(orders), ", "))
}

// compareTimes puts the oldest first, and what is not known last.
func compareTimes(a, b *time.Time) int {
	switch {
	case a == nil || b == nil:
		return cmp.Compare(rank(a == nil), rank(b == nil))
	default:
		return a.Compare(*b)
	}
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}

// used is -1 if it is not known.
func (v *volume) used() int64 {
	if v.UsedBytes == nil {
		return -1
	}
	return *v.UsedBytes
}

func (v *volume) fullness() float64 { return float64(v.used()) / float64(max(1, v.SizeBytes)) }

// showVolumes collects what the query asks for.
func (s *session) showVolumes(ctx context.Context, q volumesQuery) (shown, error) {
	by, err := orderOf(orders, q.sort)
	if err != nil {
		return shown{}, err
	}
	longest, err := parseDays(q.unused)
	if err != nil {
		return shown{}, fmt.Errorf("--unused=%s: write 30d or 12h", q.unused)
	}
	namespace := ""
	if !q.allNamespaces {
		if namespace, err = s.namespace(); err != nil {
			return shown{}, err
		}
	}
	found, err := s.inventory(ctx, namespace, q.node)
	if err != nil {
		return shown{}, err
	}
	now := time.Now()
	told := slices.ContainsFunc(found.volumes, func(v *volume) bool { return v.UnusedSince != nil })
	all := slices.DeleteFunc(found.volumes, func(v *volume) bool {
		return q.pool != "" && v.Pool != q.pool ||
			longest > 0 && (v.UnusedSince == nil || now.Sub(*v.UnusedSince) < longest)
	})
	slices.SortFunc(all, func(a, b *volume) int {
		return cmp.Or(by.compare(a, b), cmp.Compare(a.name(), b.name()), cmp.Compare(a.ID, b.ID))
	})
	var notes strings.Builder
	found.unseen.write(&notes)
	if len(found.unsure) > 0 {
		fmt.Fprintf(&notes, "Whether these claims are hostdir's cannot be told without their PersistentVolumes: %s\n", fewOf(found.unsure))
	}
	if longest > 0 && !told {
		fmt.Fprintln(&notes, "No claim says since when it is unused: either all are used, or the cluster does not tell (Kubernetes 1.37 does)")
	} else if len(all) == 0 {
		fmt.Fprintln(&notes, "No volumes of hostdir found")
	}
	if all == nil {
		all = []*volume{}
	}
	return shown{all, func() rows { return volumeRows(all, q.allNamespaces, now) }, notes.String(), found.unseen.failure()}, nil
}

// parseDays reads a duration that may be in days.
func parseDays(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = strconv.ErrRange
	}
	return d, err
}

func volumeRows(all []*volume, namespaces bool, now time.Time) rows {
	r := rows{
		header:  []string{"CLAIM", "POD", "NODE", "POOL", "SIZE", "USED", "", "AGE", "UNUSED", "QUOTA", "SNAPSHOTS", "STATUS", "PV", "PATH"},
		wide:    4,
		passing: []int{7, 8},
	}
	for _, v := range all {
		name := v.name()
		if !namespaces && v.Claim != "" {
			name = v.Claim
		}
		capacity, used, bar := unknown, unknown, " "
		if v.SizeBytes > 0 {
			capacity = config.FormatSize(v.SizeBytes)
		}
		tone := noTone
		if v.UsedBytes != nil {
			used, bar = config.FormatSize(*v.UsedBytes), usedBar(*v.UsedBytes, v.SizeBytes)
			tone = toneOf(v.fullness())
		}
		if v.Quota == "quarantined" {
			tone = badTone
		}
		r.cells = append(r.cells, []string{
			name, fewOf(v.Pods), v.Node, v.Pool, capacity, used, bar, age(v.Created, now), age(v.UnusedSince, now), v.Quota,
			number(v.Snapshots), v.Status, v.PersistentVolume, v.Path,
		})
		r.tones = append(r.tones, tone)
		r.names = append(r.names, v.name())
	}
	return r
}

// number writes how many there are, if that is known.
func number(n *int) string {
	if n == nil {
		return unknown
	}
	return strconv.Itoa(*n)
}

// fewOf names a few.
func fewOf(names []string) string {
	const few = 2
	if more := len(names) - few; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ","), more)
	}
	return strings.Join(names, ",")
}

func age(since *time.Time, now time.Time) string {
	if since == nil || since.IsZero() {
		return unknown
	}
	return duration.HumanDuration(now.Sub(*since))
}
