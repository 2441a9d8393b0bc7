package httpapi_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/projections/httpapi"
)

func TestNodeSaysWhoBroughtItsState(t *testing.T) {
	w := newWorld(t, nil)
	for _, id := range []string{"n1", "n2"} {
		w.say(events.Joined, id, id, 1, events.Evidence{Reason: "start"})
	}
	w.say(events.Suspected, "n2", "n1", 1, events.Evidence{Reason: "probe timeout"})
	w.settle()
	r := w.get("/v1/nodes/n2")
	node, _ := r.body["node"].(map[string]any)
	because, _ := node["because"].(map[string]any)
	if node["state"] != "suspect" || because["author"] != "n1" || because["kind"] != "suspected" || because["position"] != 3.0 {
		t.Errorf("n2: %s", r.raw)
	}
	if evidence, _ := because["evidence"].(map[string]any); evidence["reason"] != "probe timeout" {
		t.Errorf("evidence: %v", because["evidence"])
	}
}

func TestFilters(t *testing.T) {
	w := newWorld(t, nil)
	for _, id := range []string{"n1", "n2", "n3"} {
		w.say(events.Joined, id, id, 1, events.Evidence{})
	}
	w.say(events.Suspected, "n2", "n1", 1, events.Evidence{})
	w.say(events.Left, "n3", "n3", 1, events.Evidence{})
	w.settle()
	for query, want := range map[string]string{
		"":                                "n1 n2 n3",
		"status=alive":                    "n1",
		"status=alive,suspect":            "n1 n2",
		"status=left&status=suspect":      "n2 n3",
		"tag=role=worker":                 "n1 n2 n3",
		"tag=role=worker&tag=zone=n2":     "n2",
		"tag=role=other":                  "",
		"tag=zone=n1&status=left":         "",
		"tag=" + url.QueryEscape("role="): "",
		"tag=zone+in+(n1,n3),role":        "n1 n3",
		"tag=!zone=n1":                    "n2 n3",
		"tag=zone^=n&tag=zone!=n2":        "n1 n3",
		"tag=" + url.QueryEscape(`"zone" in ("n2", n1)`) + "&status=alive": "n1",
	} {
		r := w.get("/v1/nodes?" + query)
		if got := ids(r); r.status != http.StatusOK || got != want {
			t.Errorf("%q: %d, %q, want %q", query, r.status, got, want)
		}
	}
}

func TestAtShowsThePast(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	stateOf := func(path string) any {
		r := w.get(path)
		node, _ := r.body["node"].(map[string]any)
		return node["state"]
	}
	for path, want := range map[string]string{
		"/v1/nodes/n3?at=3": "alive", "/v1/nodes/n3?at=4": "suspect", "/v1/nodes/n3?at=6": "failed", "/v1/nodes/n3?at=7": "alive",
	} {
		if got := stateOf(path); got != want {
			t.Errorf("%s: %v, want %s", path, got, want)
		}
	}
	now := url.QueryEscape(time.Now().Format(time.RFC3339Nano))
	if got := stateOf("/v1/nodes/n3?at=" + now); got != "alive" {
		t.Errorf("now: %v", got)
	}
	r := w.get("/v1/nodes/n3/history?at=5")
	if list, _ := r.body["history"].([]any); len(list) != 3 || r.body["position"] != 5.0 {
		t.Errorf("history as of 5: %s", r.raw)
	}
}

// Every refusal: what is asked, the status, and the problem's name.
func TestProblems(t *testing.T) {
	w := newWorld(t, func(c *httpapi.Config) { c.WaitMax = 20 * time.Millisecond })
	w.episode()
	for _, tc := range []struct {
		method, path string
		status       int
		name         string
	}{
		{"GET", "/v1/node", 404, "no-such-route"},
		{"GET", "/web/nothing.js", 404, "no-such-route"},
		{"GET", "/metrics", 404, "no-such-route"},
		{"POST", "/dev/nodes/n1/crash", 404, "no-such-route"},
		{"GET", "/v1/nodes/n9", 404, "no-such-node"},
		{"GET", "/v1/nodes/n9/history", 404, "no-such-node"},
		{"GET", "/v1/nodes/n3?at=2", 404, "no-such-node"},
		{"GET", "/v1/nodes/n%209", 400, "bad-id"},
		{"GET", "/v1/nodes?colour=red", 400, "unknown-parameter"},
		{"GET", "/v1/projections?x=", 400, "unknown-parameter"},
		{"GET", "/v1/nodes?status=dead", 400, "bad-parameter"},
		{"GET", "/v1/nodes?status=", 400, "bad-parameter"},
		{"GET", "/v1/nodes?tag=", 400, "bad-parameter"},
		{"GET", "/v1/nodes?tag=%3Dworker", 400, "bad-parameter"},
		{"GET", "/v1/services?tag=zone+in+(a", 400, "bad-parameter"},
		{"GET", "/v1/services?status=dead", 400, "bad-parameter"},
		{"GET", "/v1/services?at=99", 400, "in-the-future"},
		{"GET", "/v1/pick?tag=role=db", 404, "no-match"},
		{"GET", "/v1/pick?status=left", 404, "no-match"},
		{"GET", "/v1/pick?strategy=best", 400, "bad-parameter"},
		{"GET", "/v1/pick?strategy=rendezvous", 400, "bad-parameter"},
		{"GET", "/v1/pick?strategy=random&key=a", 400, "bad-parameter"},
		{"GET", "/v1/pick?key=a&key=b", 400, "bad-parameter"},
		{"GET", "/v1/pick?from=3", 400, "unknown-parameter"},
		{"GET", "/v1/diff", 400, "bad-parameter"},
		{"GET", "/v1/diff?from=x", 400, "bad-parameter"},
		{"GET", "/v1/diff?from=1&to=0", 400, "bad-parameter"},
		{"GET", "/v1/diff?from=1&to=99", 400, "in-the-future"},
		{"POST", "/v1/diff?from=1", 405, "method-not-allowed"},
		{"POST", "/v1/projections/colours/rebuild", 404, "no-such-projection"},
		{"POST", "/v1/projections/registry/explode", 404, "no-such-action"},
		{"POST", "/v1/projections/registry/skip", 400, "bad-body"},
		{"GET", "/v1/nodes?tag=%zz", 400, "bad-parameter"},
		{"GET", "/v1/nodes?at=yesterday", 400, "bad-parameter"},
		{"GET", "/v1/nodes?at=0", 400, "bad-parameter"},
		{"GET", "/v1/nodes?at=3&at=4", 400, "bad-parameter"},
		{"GET", "/v1/nodes?at=3&min_position=3", 400, "bad-parameter"},
		{"GET", "/v1/nodes?at=99", 400, "in-the-future"},
		{"GET", "/v1/nodes?at=2999-01-01T00:00:00Z", 400, "in-the-future"},
		{"GET", "/v1/nodes?min_position=x", 400, "bad-parameter"},
		{"GET", "/v1/nodes?min_position=18446744073709551615", 400, "bad-parameter"},
		{"GET", "/v1/nodes?min_position=99", 503, "position-not-reached"},
		{"GET", "/v1/nodes?" + strings.Repeat("tag=a=b&", 33), 400, "bad-parameter"},
		{"GET", "/v1/events?limit=0", 400, "bad-parameter"},
		{"GET", "/v1/events?limit=1001", 400, "bad-parameter"},
		{"GET", "/v1/events?kind=died", 400, "bad-parameter"},
		{"GET", "/v1/events?node=a.b", 400, "bad-parameter"},
		{"GET", "/v1/events?from=-1", 400, "bad-parameter"},
		{"GET", "/v1/events?from=", 400, "bad-parameter"},
		{"GET", "/v1/events?limit=", 400, "bad-parameter"},
		{"GET", "/v1/events?author=", 400, "bad-parameter"},
		{"GET", "/v1/nodes?min_position=", 400, "bad-parameter"},
		{"GET", "/v1/events/stream?log=another", 409, "log-replaced"},
		{"GET", "/v1/events/stream?from=0", 400, "bad-parameter"},
		{"GET", "/v1/events/stream?limit=3", 400, "unknown-parameter"},
		{"DELETE", "/v1/nodes", 405, "method-not-allowed"},
		{"POST", "/v1/nodes/n3", 405, "method-not-allowed"},
		{"PUT", "/", 405, "method-not-allowed"},
	} {
		r := w.do(tc.method, tc.path, nil)
		if r.status != tc.status || r.body["type"] != "urn:rollcall:problem:"+tc.name {
			t.Errorf("%s %s: %d %s, want %d %s", tc.method, tc.path, r.status, r.raw, tc.status, tc.name)
			continue
		}
		if r.header.Get("Content-Type") != "application/problem+json" || r.body["status"] != float64(tc.status) {
			t.Errorf("%s %s: %s, %s", tc.method, tc.path, r.header.Get("Content-Type"), r.raw)
		}
		if tc.status == 405 && r.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: Allow is %q", tc.method, tc.path, r.header.Get("Allow"))
		}
	}
}

func TestHistoryIncompleteNamesTheFirstPosition(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	w.log.Trim(4)
	for _, path := range []string{
		"/v1/nodes?at=6", "/v1/diff?from=2", "/v1/diff?from=5&to=6", "/v1/services?at=6", "/v1/report?from=2", "/v1/nodes/n3/history?from=2",
	} {
		r := w.get(path)
		if r.status != http.StatusGone || r.body["type"] != "urn:rollcall:problem:history-incomplete" || r.body["first"] != 4.0 {
			t.Errorf("%s: %d %s", path, r.status, r.raw)
		}
	}
}

// What needs no log is served while it is away, and says how old it is; what needs it says so.
func TestLogAway(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	w.log.SetAvailable(false)
	w.until("lagging", func() bool { return w.p.Status().Lag.Seconds > 0 })
	r := w.get("/v1/nodes")
	if lag, _ := r.body["lag"].(map[string]any); r.status != http.StatusOK || lag["seconds"] == 0.0 {
		t.Errorf("nodes: %d %s", r.status, r.raw)
	}
	if r := w.get("/v1/nodes?at=3"); r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
		t.Errorf("at: %d %v %s", r.status, r.header, r.raw)
	}
	if r := w.get("/readyz"); r.status != http.StatusOK {
		t.Errorf("readyz: %d %s", r.status, r.raw)
	}
	w.log.SetAvailable(true)
}

func TestReadyOnlyOnceCaughtUp(t *testing.T) {
	w := newWorld(t, func(c *httpapi.Config) { c.Projector.Log().(interface{ SetAvailable(bool) }).SetAvailable(false) })
	if r := w.get("/readyz"); r.status != http.StatusServiceUnavailable || r.body["type"] != "urn:rollcall:problem:not-ready" {
		t.Errorf("before: %d %s", r.status, r.raw)
	}
	if r := w.get("/livez"); r.status != http.StatusOK {
		t.Errorf("livez before: %d %s", r.status, r.raw)
	}
	w.log.SetAvailable(true)
	w.until("ready", func() bool { return w.get("/readyz").status == http.StatusOK })
	w.log.Replace()
	w.until("stopped", func() bool { return w.p.Status().Stopped != nil })
	if r := w.get("/readyz"); r.status != http.StatusServiceUnavailable || !strings.Contains(r.raw, events.ErrReplaced.Error()) {
		t.Errorf("stopped: %d %s", r.status, r.raw)
	}
	if r := w.get("/v1/projections"); r.body["state"] != "stopped" || r.body["ready"] != false {
		t.Errorf("projections: %s", r.raw)
	}
}

func TestMinPositionWaits(t *testing.T) {
	w := newWorld(t, nil)
	got := make(chan reply, 1)
	go func() { got <- w.get("/v1/nodes?min_position=1") }()
	w.say(events.Joined, "n1", "n1", 1, events.Evidence{})
	if r := <-got; r.status != http.StatusOK || ids(r) != "n1" {
		t.Errorf("%d %s", r.status, r.raw)
	}
}

func TestEventsPageThrough(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	var kinds []string
	next := 1.0
	for next <= 7 {
		r := w.get("/v1/events?limit=3&from=" + strconv.FormatFloat(next, 'f', 0, 64))
		list, _ := r.body["events"].([]any)
		for _, e := range list {
			event := e.(map[string]any)["event"].(map[string]any)
			kinds = append(kinds, strings.Split(event["type"].(string), ".")[2])
		}
		next = r.body["next"].(float64)
	}
	if got := strings.Join(kinds, " "); got != "joined joined joined suspected accused failed joined" {
		t.Errorf("%s", got)
	}
}

func TestHeadHasNoBody(t *testing.T) {
	w := newWorld(t, nil)
	for _, path := range []string{"/v1/nodes", "/v1/events/stream", "/", "/openapi.json"} {
		if r := w.do(http.MethodHead, path, nil); r.status != http.StatusOK || r.raw != "" {
			t.Errorf("%s: %d %q", path, r.status, r.raw)
		}
	}
}

func TestPageIsServedUnderItsPolicy(t *testing.T) {
	w := newWorld(t, nil)
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/web/app.js": "text/javascript; charset=utf-8",
		"/web/style.css": "text/css; charset=utf-8", "/web/favicon.svg": "image/svg+xml",
	} {
		r := w.get(path)
		policy := r.header.Get("Content-Security-Policy")
		if r.status != http.StatusOK || r.header.Get("Content-Type") != kind || !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s: %d %v", path, r.status, r.header)
		}
		tag := r.header.Get("ETag")
		if again := w.do(http.MethodGet, path, nil, "If-None-Match", tag); tag == "" || again.status != http.StatusNotModified {
			t.Errorf("%s again: %d", path, again.status)
		}
	}
}

func TestMetricsAreServedWhenGiven(t *testing.T) {
	w := newWorld(t, func(c *httpapi.Config) {
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })
	})
	if r := w.get("/metrics"); r.status != http.StatusOK || r.raw != "up 1\n" {
		t.Errorf("%d %q", r.status, r.raw)
	}
}

func TestConfigIsRefused(t *testing.T) {
	if _, err := httpapi.New(httpapi.Config{}); !errors.Is(err, httpapi.ErrConfig) {
		t.Errorf("no projector: %v", err)
	}
}
