package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/infra/cli"
)

// stale runs check and status, which must both say by their exit status that the views are not up to date, and why.
func stale(t *testing.T, api, why string, flags ...string) {
	t.Helper()
	for _, command := range []string{"check", "status"} {
		if status, stderr := ask(t, api, command, flags...); status != cli.ExitStale || !strings.Contains(stderr, why) {
			t.Errorf("%s: status %d, want %d, and %q: %s", command, status, cli.ExitStale, why, stderr)
		}
	}
}

func ask(t *testing.T, api, command string, flags ...string) (status int, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = cli.Run(t.Context(), newRoot(), append([]string{command, "--api", api}, flags...), &out, &errs)
	return status, errs.String()
}

// eventuallyStatus asks until a command ends with this status.
func eventuallyStatus(t *testing.T, api, command string, want int) {
	t.Helper()
	deadline := time.After(patience)
	for {
		got, stderr := ask(t, api, command)
		if got == want {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: status %d, want %d: %s", command, got, want, stderr)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestPausedViewsAreStale(t *testing.T) {
	_, api := serve(t, story())
	turn(t, api, "pause")
	stale(t, api, "the projector is paused at position 7 of 7")
	turn(t, api, "resume")
	eventuallyStatus(t, api, "check", cli.ExitOK)
	eventuallyStatus(t, api, "status", cli.ExitOK)
}

func TestViewsWithoutTheirLogAreStale(t *testing.T) {
	log, api := serve(t, story())
	log.SetAvailable(false)
	eventuallyStatus(t, api, "check", cli.ExitStale)
	stale(t, api, "the projector cannot read the log")
	log.SetAvailable(true)
	eventuallyStatus(t, api, "check", cli.ExitOK)
}

// Views that were ready and have fallen behind are stale, by whatever --max-lag says or by the default; those that are fed all
// the time and never quite level are not.
func TestViewsThatFellBehindAreStale(t *testing.T) {
	var lag atomic.Int64 // seconds
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"cluster":"test","position":7,"lag":{"events":3,"seconds":%d},"state":"catching up","ready":true,
			"log":{"last":10},"services":[{"id":"n1"}]}`, lag.Load())
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	lag.Store(1)
	for _, command := range []string{"check", "status"} {
		if status, stderr := ask(t, server.URL, command); status != cli.ExitOK {
			t.Errorf("%s: status %d: %s", command, status, stderr)
		}
	}
	stale(t, server.URL, "more than --max-lag 500ms", "--max-lag", "500ms")
	lag.Store(60)
	stale(t, server.URL, "1m0s and 3 events behind the log")
	for _, flags := range [][]string{{"--max-lag", "2m"}, {"--max-lag", "0"}} {
		if status, stderr := ask(t, server.URL, "check", flags...); status != cli.ExitOK {
			t.Errorf("%v: status %d: %s", flags, status, stderr)
		}
	}
}
