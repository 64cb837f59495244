package driver

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestCreateWithoutRoom has the claims of one pod, and room for one of them: what
// its owner reads says what to do.
func TestCreateWithoutRoom(t *testing.T) {
	s := startDriver(t)
	s.create(t, "pvc-first")
	for _, test := range []struct {
		name  string
		bytes int64
		pool  string
		says  string
	}{
		{"no room", 1 << 60, "default", "has room for"},
		{"no pool", 1 << 20, "nvme", `no pool "nvme"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			second := createRequest("pvc-second")
			second.CapacityRange.RequiredBytes = test.bytes
			second.Parameters = map[string]string{"pool": test.pool}
			_, err := s.controller.CreateVolume(s.ctx, second)
			wantCode(t, err, codes.ResourceExhausted)
			for _, says := range []string{test.says, "unless the pod has a claim that is bound here already", "make room on this node, or delete that claim"} {
				if message := status.Convert(err).Message(); !strings.Contains(message, says) {
					t.Errorf("the message does not say %q: %s", says, message)
				}
			}
		})
	}
}
