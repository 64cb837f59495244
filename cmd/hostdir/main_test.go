package main

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	// The programs that tests run would wait for a second at their end, for races
	// to be reported.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(m.Run())
}
