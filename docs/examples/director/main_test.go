package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/infra/devcluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// paper is written to by one and read by another.
type paper struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *paper) count(word string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Count(p.text.String(), word)
}

// The example runs as its comment says: one directs, two work, and when one of them is gone the other has all.
func TestExample(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	defer cancel()
	dev, err := devcluster.Start(ctx, devcluster.Config{Nodes: 3, Dir: t.TempDir(), Tags: func(i int) map[string]string {
		if i == 1 {
			return nil
		}
		return map[string]string{"role": "worker"}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	}()
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	start := func(args ...string) *paper {
		out := &paper{}
		running.Go(func() {
			if err := run(ctx, append(args, "-nats", dev.NATS()), out); err != nil {
				t.Errorf("%v: %v", args, err)
			}
		})
		return out
	}
	start("-id", "n1", "-direct", "4", "-selector", "role=worker")
	n2, n3 := start("-id", "n2"), start("-id", "n3")
	wait(ctx, t, "both work", func() bool { return n2.count("n2 takes") == 2 && n3.count("n3 takes") == 2 })
	if err := dev.Do(ctx, "n3", "crash"); err != nil {
		t.Fatal(err)
	}
	wait(ctx, t, "n2 has all", func() bool { return n2.count("n2 takes") == 4 && n3.count("n3 gives up") == 2 })
}

func wait(ctx context.Context, t *testing.T, what string, hold func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !hold() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(fmt.Errorf("%s: %w", what, ctx.Err()))
		}
	}
}

func TestExampleSaysWhatIsMissing(t *testing.T) {
	if err := run(t.Context(), []string{"-colour", "red"}, &paper{}); err == nil {
		t.Error("an option that is none: no error")
	}
}
