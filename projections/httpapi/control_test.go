package httpapi_test

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/projections/projector"
)

// What is not folded yet is counted in every answer.
func TestAnswersCountWhatTheyAreBehind(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	if r := w.do(http.MethodPost, "/v1/projections/registry/pause", nil); r.status != http.StatusOK || r.body["state"] != "paused" {
		t.Fatalf("pause: %d %s", r.status, r.raw)
	}
	w.say(events.Left, "n1", "n1", 1, events.Evidence{})
	w.say(events.Left, "n2", "n2", 1, events.Evidence{})
	w.until("counted", func() bool { return w.p.Status().Lag.Events == 2 })
	for _, path := range []string{
		"/v1/nodes", "/v1/nodes/n1", "/v1/nodes/n1/history", "/v1/services", "/v1/pick", "/v1/diff?from=1", "/v1/events", "/v1/projections",
	} {
		r := w.get(path)
		if lag, _ := r.body["lag"].(map[string]any); r.status != http.StatusOK || lag["events"] != 2.0 || lag["seconds"] == 0.0 || r.body["position"] != 7.0 {
			t.Errorf("%s: %d %s", path, r.status, r.raw)
		}
	}
	if r := w.do(http.MethodPost, "/v1/projections/registry/resume", nil); r.status != http.StatusOK {
		t.Fatalf("resume: %d %s", r.status, r.raw)
	}
	w.settle()
	if r := w.get("/v1/nodes?status=left"); ids(r) != "n1 n2" || r.body["lag"].(map[string]any)["events"] != 0.0 {
		t.Errorf("after it: %s", r.raw)
	}
}

func TestParkedNodeOverHTTP(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	w.log.Inject("rollcall.test.node.n2.n2.tagged", []byte("not JSON"))
	w.say(events.HealthCheckFailed, "n2", "n1", 1, events.Evidence{})
	w.settle()
	r := w.get("/v1/projections")
	list, _ := r.body["parked"].([]any)
	if len(list) != 1 {
		t.Fatalf("parked: %s", r.raw)
	}
	n2 := list[0].(map[string]any)
	if n2["node"] != "n2" || n2["position"] != 8.0 || n2["state"] != "alive" || n2["reason"] == "" {
		t.Errorf("parked: %v", n2)
	}
	if r := w.get("/v1/nodes/n2"); r.body["node"].(map[string]any)["parked"] == nil {
		t.Errorf("node: %s", r.raw)
	}
	if got := idsIn(w.get("/v1/services"), "services"); got != "n1 n3" {
		t.Errorf("services: %s", got)
	}
	for _, tc := range []struct {
		action, body string
		status       int
		name         string
	}{
		{"retry", `{"node":"n2"}`, 409, "unreadable"},
		{"retry", `{"node":"n1"}`, 409, "not-parked"},
		{"skip", `{"node":"n1"}`, 409, "not-parked"},
		{"skip", `{"node":"n.1"}`, 400, "bad-body"},
		{"skip", `{"nodes":["n1"]}`, 400, "bad-body"},
		{"skip", `{"node":"` + strings.Repeat("n", 70<<10) + `"}`, 413, "body-too-large"},
		{"skip", `{"node":"n2"}`, 200, ""},
		{"skip", `{"node":"n2"}`, 409, "not-parked"},
	} {
		r := w.do(http.MethodPost, "/v1/projections/registry/"+tc.action, strings.NewReader(tc.body))
		if name, _ := r.body["type"].(string); r.status != tc.status || strings.TrimPrefix(name, "urn:rollcall:problem:") != tc.name {
			t.Errorf("%s %.40s: %d %s, want %d %s", tc.action, tc.body, r.status, r.raw, tc.status, tc.name)
		}
	}
	if got := idsIn(w.get("/v1/services"), "services"); got != "n1 n2 n3" {
		t.Errorf("services after the skip: %s", got)
	}
}

func TestRebuildOverHTTP(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	before := w.get("/v1/projections").body["sum"].(map[string]any)
	if r := w.do(http.MethodPost, "/v1/projections/timeline/rebuild", nil); r.status != http.StatusOK || r.body["rebuild"] == nil {
		t.Fatalf("rebuild: %d %s", r.status, r.raw)
	}
	w.until("rebuilt", func() bool { return w.p.Status().Rebuild != projector.Rebuilding{} && !w.p.Status().Rebuild.Running })
	r := w.get("/v1/projections")
	rebuilt, _ := r.body["rebuild"].(map[string]any)
	if rebuilt["running"] != false || rebuilt["changed"] != false || rebuilt["position"] != 7.0 || rebuilt["ended"] == nil {
		t.Errorf("rebuilt: %s", r.raw)
	}
	if after := r.body["sum"].(map[string]any); after["sha256"] != before["sha256"] || after["position"] != 7.0 {
		t.Errorf("sums at position 7: %v and %v", before, after)
	}
}

// A tab of another site in the same browser reaches loopback, and must not be able to stop the views.
func TestControlRefusesOtherSites(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	for name, header := range map[string][]string{
		"fetch metadata":       {"Sec-Fetch-Site", "cross-site"},
		"origin":               {"Origin", "https://evil.example"},
		"a name made to point": {"Host", "evil.example:8080", "Origin", "http://evil.example:8080"},
	} {
		r := w.do(http.MethodPost, "/v1/projections/registry/pause", nil, header...)
		if r.status != http.StatusForbidden || w.p.Status().State == projector.Paused {
			t.Errorf("%s: %d %s", name, r.status, r.raw)
		}
	}
	if r := w.get("/v1/projections/registry/pause"); r.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d %s", r.status, r.raw)
	}
}

// timed notes whether who reads it gave itself a limit.
type timed struct {
	events.Log
	limited chan bool
}

func (l *timed) Subscribe(ctx context.Context, f events.Filter, from events.From) iter.Seq2[events.Recorded, error] {
	if _, limited := ctx.Deadline(); from.Position > 1 {
		select {
		case l.limited <- limited:
		default:
		}
	}
	return l.Log.Subscribe(ctx, f, from)
}

// A log that does not answer does not keep a retry, and its client, for ever.
func TestRetryIsLimitedInTime(t *testing.T) {
	log := &timed{limited: make(chan bool, 1)}
	w := newWorldOf(t, nil, func(c *projector.Config) { log.Log, c.Log = c.Log, log })
	w.say(events.Joined, "n1", "n1", 1, events.Evidence{Reason: "start"})
	w.log.Inject("rollcall.test.node.n1.n1.tagged", []byte("not JSON"))
	w.settle()
	w.do(http.MethodPost, "/v1/projections/registry/retry", strings.NewReader(`{"node":"n1"}`))
	select {
	case limited := <-log.limited:
		if !limited {
			t.Error("the log is read without a limit")
		}
	default:
		t.Error("the log is not read")
	}
}
