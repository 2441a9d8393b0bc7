package httpapi_test

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/projections/projector"
)

// lagging is a log whose new leader knows of fewer events than were read.
type lagging struct {
	events.Log
	behind atomic.Uint64
}

func (l *lagging) Info(ctx context.Context) (events.Info, error) {
	info, err := l.Log.Info(ctx)
	info.Last -= min(info.Last, l.behind.Load())
	return info, err
}

// While a new leader catches up, who has read what the views hold is served, and who has read more of the same log is asked to
// come back; only what may be another log is refused for good.
func TestLeaderThatCatchesUpRefusesNobody(t *testing.T) {
	log := new(lagging)
	w := newWorldOf(t, nil, func(c *projector.Config) { log.Log, c.Log = c.Log, log })
	w.episode()
	info, err := w.log.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log.behind.Store(1)
	path := "/v1/events/stream?log=" + url.QueryEscape(info.Identity)
	if f := w.open(path, "Last-Event-ID", "7").next(); f.comment != "from position 8" {
		t.Errorf("behind the last event: %+v", f)
	}
	for _, at := range []string{"7", url.QueryEscape(w.stored(7))} {
		if r := w.get("/v1/nodes?at=" + at); r.status != http.StatusOK || r.body["position"] != 7.0 {
			t.Errorf("as of %s: %d %s", at, r.status, r.raw)
		}
	}
	if r := w.get("/v1/nodes?at=8"); r.status != http.StatusBadRequest {
		t.Errorf("as of what nobody has seen: %d %s", r.status, r.raw)
	}
	r := w.do(http.MethodGet, path, nil, "Last-Event-ID", "8")
	if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" || r.body["type"] != "urn:rollcall:problem:log-behind" {
		t.Errorf("more of the same log than the views hold: %d %v %s", r.status, r.header, r.raw)
	}
	if r := w.do(http.MethodGet, "/v1/events/stream", nil, "Last-Event-ID", "8"); r.status != http.StatusConflict {
		t.Errorf("of a log that is not named: %d %s", r.status, r.raw)
	}
}

// A log that was restored from an older copy has another past than the views, which is nobody's fault here.
func TestPastOfARestoredLogIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	w.p.Pause() // it would end: the past is asked for before it does
	w.log.Restore(3)
	if r := w.get("/v1/nodes?at=7"); r.status != http.StatusServiceUnavailable || r.body["type"] != "urn:rollcall:problem:stopped" {
		t.Errorf("%d %s", r.status, r.raw)
	}
}

// stored is when the log accepted an event, as the API writes it.
func (w *world) stored(position uint64) string {
	w.t.Helper()
	for rec, err := range w.log.Subscribe(w.t.Context(), events.Filter{}, events.From{Position: position}) {
		if err != nil {
			w.t.Fatal(err)
		}
		return rec.Stored.Format(time.RFC3339Nano)
	}
	w.t.Fatalf("there is no event at position %d", position)
	return ""
}
