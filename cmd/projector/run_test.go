package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/cli"
)

// patience bounds every wait: only what never comes reaches it.
const patience = time.Minute

// running is a projector in this process.
type running struct {
	t      *testing.T
	cancel context.CancelFunc
	status chan int
	once   sync.Once
	code   int

	mu     sync.Mutex
	stderr bytes.Buffer
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.Write(p)
}

func (r *running) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.String()
}

func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, cancel: cancel, status: make(chan int, 1)}
	go func() { r.status <- cli.Run(ctx, newRoot(), append(args, "--log-format", "json"), io.Discard, r) }()
	t.Cleanup(func() {
		r.stop()
		http.DefaultClient.CloseIdleConnections()
		if t.Failed() {
			t.Logf("standard error:\n%s", r.text())
		}
	})
	return r
}

// stop interrupts the projector and returns its exit status.
func (r *running) stop() int {
	r.once.Do(func() {
		r.cancel()
		r.code = <-r.status
	})
	return r.code
}

// logged waits for a line of the log and returns its value of key.
func (r *running) logged(message, key string) string {
	r.t.Helper()
	var value string
	eventually(r.t, "the log says "+message, func() bool {
		for line := range strings.Lines(r.text()) {
			var entry map[string]any
			if json.Unmarshal([]byte(line), &entry) == nil && entry["msg"] == message {
				value, _ = entry[key].(string)
				return true
			}
		}
		return false
	})
	return value
}

func eventually(t *testing.T, what string, hold func() bool) {
	t.Helper()
	deadline := time.After(patience)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for !hold() {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

func status(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// The projector makes the stream, follows it, serves what it says, ends with status 0, and starts again where it was (I1).
func TestRunWithItsOwnServer(t *testing.T) {
	dir := t.TempDir()
	args := []string{"run", "--cluster", "test", "--data", dir, "--http", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0", "--nats-service"}
	r := start(t, args...)
	url, api := r.logged("embedded NATS server ready", "url"), "http://"+r.logged("projector is up", "http")
	log, err := jslog.Connect(t.Context(), jslog.Config{URL: url, Cluster: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	joined := events.Event{
		ID: events.NewID(), Kind: events.Joined, Cluster: "test", Node: "n1", Author: "n1", Time: time.Now(), Incarnation: 1,
		Address: "127.0.0.1:7946",
	}
	if _, err := log.Append(t.Context(), joined, 0); err != nil {
		t.Fatal(err)
	}
	if code, body := status(t, api+"/v1/nodes?min_position=1"); code != http.StatusOK || !strings.Contains(body, `"id":"n1"`) {
		t.Errorf("/v1/nodes: %d %s", code, body)
	}
	eventually(t, "ready", func() bool { code, _ := status(t, api+"/readyz"); return code == http.StatusOK })
	service := r.logged("answering NATS", "service")
	if reply, err := log.Conn().Request("svc.rollcall.test.nodes", nil, patience); err != nil || service != "rollcall-test" ||
		!strings.Contains(string(reply.Data), `"id":"n1"`) {
		t.Errorf("over NATS: %v, %v", reply, err)
	}
	if code, body := status(t, api+"/metrics"); code != http.StatusOK || !strings.Contains(body, "rollcall_projector_position") {
		t.Errorf("/metrics: %d %.200s", code, body)
	}
	if code, _ := status(t, api+"/dev/nodes/n1/crash"); code != http.StatusNotFound {
		t.Errorf("a projector of real members has buttons to break them: %d", code)
	}
	if code := r.stop(); code != cli.ExitOK {
		t.Fatalf("exit status %d", code)
	}

	r = start(t, args...)
	api = "http://" + r.logged("projector is up", "http")
	if code, body := status(t, api+"/v1/nodes?min_position=1"); code != http.StatusOK || !strings.Contains(body, `"id":"n1"`) {
		t.Errorf("after a new start: %d %s", code, body)
	}
}

// Two projectors on one directory would ruin what the first keeps there.
func TestRunRefusesADirectoryInUse(t *testing.T) {
	args := []string{"run", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0"}
	start(t, args...).logged("projector is up", "http")
	second := start(t, args...)
	select {
	case code := <-second.status:
		second.status <- code
		if code != cli.ExitFailed || !strings.Contains(second.text(), "in use by another server") {
			t.Errorf("exit status %d: %s", code, second.text())
		}
	case <-time.After(patience):
		t.Error(errors.New("a second projector runs on the directory"))
	}
}

// With servers elsewhere that are away the projector answers, says that it is not ready, and waits (4.2).
func TestRunWaitsForServersElsewhere(t *testing.T) {
	r := start(t, "run", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--nats", "nats://127.0.0.1:1")
	api := "http://" + r.logged("projector is up", "http")
	if code, _ := status(t, api+"/livez"); code != http.StatusOK {
		t.Errorf("/livez: %d", code)
	}
	if code, _ := status(t, api+"/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz: %d, want 503", code)
	}
	if code := r.stop(); code != cli.ExitOK {
		t.Errorf("exit status %d", code)
	}
}
