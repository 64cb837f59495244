//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// kubelet asks the plugin how full each volume is, and passes it on to monitoring.
func kubeletReportsSizes(t *test) {
	t.createClaim(newClaim("data"))
	t.createPod(newPod("data", "data", signed))
	node := t.podRuns("data").Spec.NodeName
	t.eventually("kubelet of "+node+" knows the volume's size", func() error {
		return t.measures(node, "data", "capacity_bytes", 16*mebibyte, 0)
	})
}

func kubeletReportsUse(t *test) {
	const size, used = 32 * mebibyte, 8 * mebibyte
	t.createClaim(sized("data", t.limitedClass(), size))
	t.createPod(newPod("data", "data", "dd if=/dev/zero of=/data/file bs=1M count=8; sync"))
	node := t.podRuns("data").Spec.NodeName
	t.eventually("kubelet's metrics show the claim's size and use", func() error {
		for metric, want := range map[string]float64{"capacity_bytes": size, "used_bytes": used, "available_bytes": size - used} {
			if err := t.measures(node, "data", metric, want, mebibyte); err != nil {
				return err
			}
		}
		return nil
	})
	t.eventually("kubelet's summary shows the same", func() error {
		v, err := t.summary(node, "data")
		if err != nil {
			return err
		}
		if *v.CapacityBytes != size || *v.UsedBytes < used || *v.UsedBytes > used+mebibyte || *v.AvailableBytes != *v.CapacityBytes-*v.UsedBytes {
			return fmt.Errorf("it says %d bytes, %d used, %d available", *v.CapacityBytes, *v.UsedBytes, *v.AvailableBytes)
		}
		return nil
	})
}

// measures returns an error if a kubelet's metric of a claim is not what is
// wanted, give or take.
func (t *test) measures(node, claim, metric string, want, give float64) error {
	metrics, err := t.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes", node, "proxy/metrics").DoRaw(context.Background())
	if err != nil {
		return err
	}
	series := fmt.Sprintf(`kubelet_volume_stats_%s{namespace=%q,persistentvolumeclaim=%q} `, metric, t.namespace, claim)
	_, rest, found := strings.Cut(string(metrics), series)
	var is float64
	if _, err := fmt.Sscan(rest, &is); !found || err != nil {
		return fmt.Errorf("there is no %s", series)
	}
	if is < want-give || is > want+give {
		return fmt.Errorf("%s is %.0f, want %.0f", series, is, want)
	}
	return nil
}

// summary is what kubelet's summary has of a claim.
func (t *test) summary(node, claim string) (stats.VolumeStats, error) {
	data, err := t.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes", node, "proxy/stats/summary").DoRaw(context.Background())
	if err != nil {
		return stats.VolumeStats{}, err
	}
	var summary stats.Summary
	if err := json.Unmarshal(data, &summary); err != nil {
		return stats.VolumeStats{}, err
	}
	for _, p := range summary.Pods {
		for _, v := range p.VolumeStats {
			if v.PVCRef != nil && *v.PVCRef == (stats.PVCReference{Namespace: t.namespace, Name: claim}) {
				return v, nil
			}
		}
	}
	return stats.VolumeStats{}, fmt.Errorf("it does not know the claim")
}
