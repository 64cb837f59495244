package socket

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestMain lets this program be another process that takes its turn.
func TestMain(m *testing.M) {
	if path := os.Getenv("HOSTDIR_TEST_TURN"); path != "" {
		if _, err := WaitTurn(context.Background(), path); err != nil {
			os.Exit(1)
		}
		os.Stdout.WriteString("mine\n")
		select {}
	}
	os.Exit(m.Run())
}

// TestWaitTurn has another process that is killed while it has its turn.
func TestWaitTurn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), "HOSTDIR_TEST_TURN="+path)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "mine\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := WaitTurn(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a turn beside another process: %v", err)
	}
	taken := make(chan func())
	go func() {
		leave, err := WaitTurn(t.Context(), path)
		if err != nil {
			t.Error(err)
		}
		taken <- leave
	}()
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait()
	leave := <-taken
	leave()
	again, err := WaitTurn(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	again()
}
