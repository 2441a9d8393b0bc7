// Package integration tests the whole house with nothing in it replaced: real UDP sockets and mutual TLS, a real NATS server
// with its files, and, where process boundaries matter, real processes that are killed.
//
// Clusters of cluster_test.go live in the test's process, so that every member's own view can be looked at; those of
// process_test.go are built and started as people start them. No test here measures time: what must come is waited for, up
// to [patience], and what must not come is looked for once everything that was under way has arrived. The benchmark in
// latency_test.go does.
package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds every wait: far above what a loaded machine needs, so that only what never comes reaches it.
const patience = 90 * time.Second

// binaries is where the programs under test are, member and projector.
var binaries string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(role, os.Args[1:]); err != nil {
			return report(fmt.Errorf("%s: %w", role, err))
		}
		return 0
	}
	dir, err := os.MkdirTemp("", "rollcall-integration-")
	if err != nil {
		return report(err)
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir+string(filepath.Separator), "./cmd/member", "./cmd/projector")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return report(fmt.Errorf("go build: %w\n%s", err, out))
	}
	binaries = dir
	status := m.Run()
	if err := goleak.Find(); err != nil && status == 0 {
		return report(err)
	}
	return status
}

func report(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// eventually waits until hold returns nil, and fails with what it last said.
func eventually(t *testing.T, what string, hold func() error) {
	t.Helper()
	within(t, patience, what, hold)
}

// within is eventually with another bound.
func within(t *testing.T, patience time.Duration, what string, hold func() error) {
	t.Helper()
	deadline := time.After(patience)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := hold()
		if err == nil {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("%s: not after %v: %v", what, patience, err)
		}
	}
}

// transcript keeps what is written to it, the last of it when it is too much, and shows it if the test fails.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

const transcriptMax = 256 << 10 // bytes

func newTranscript(t *testing.T, title string) *transcript {
	t.Helper()
	s := &transcript{}
	t.Cleanup(func() {
		if t.Failed() && s.String() != "" {
			t.Logf("%s:\n%s", title, s.String())
		}
	})
	return s
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if over := s.text.Len() + len(p) - transcriptMax; over > 0 {
		s.text.Next(over + transcriptMax/4)
	}
	return s.text.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
