package figures_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/infra/figures"
	"rollcall/infra/telemetry"
	"rollcall/projections/projector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A scrape shows where the projector stands and how many nodes it counts in each state, those without a node too.
func TestProjector(t *testing.T) {
	log := memlog.New("test")
	joined := events.Event{
		ID: events.NewID(), Kind: events.Joined, Cluster: "test", Node: "n1", Author: "n1", Time: time.Now(), Incarnation: 1,
		Address: "127.0.0.1:7946",
	}
	if _, err := log.Append(t.Context(), joined, 0); err != nil {
		t.Fatal(err)
	}
	p, err := projector.Open(projector.Config{Log: log, Cluster: "test"})
	if err != nil {
		t.Fatal(err)
	}
	tel, err := telemetry.New("test", "v0", "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := figures.Projector(tel, p); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	if err := p.WaitFor(ctx, 1); err != nil {
		t.Error(err)
	}
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		"rollcall_projector_position", `rollcall_nodes{state="alive"} 1`, `rollcall_nodes{state="failed"} 0`,
		"rollcall_projector_lag_events", "rollcall_projector_lag_seconds", "rollcall_projector_ready", "rollcall_projector_rejected",
	} {
		if !strings.Contains(w.Body.String(), "\n"+want) {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
