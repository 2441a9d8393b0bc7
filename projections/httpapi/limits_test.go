package httpapi_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/projections/httpapi"
	"rollcall/projections/projector"
)

// reader is a client of a stream that takes nothing while its gate is shut. It is the server's end too: what it holds back,
// the handler is held up by.
type reader struct {
	header http.Header
	open   chan struct{} // closed: it takes what comes
	began  chan struct{} // closed with the first write
	once   sync.Once

	mu   sync.Mutex
	code int
	text bytes.Buffer
}

func (r *reader) Header() http.Header { return r.header }
func (r *reader) Flush()              {}

func (r *reader) WriteHeader(code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.code = code
}

func (r *reader) Write(p []byte) (int, error) {
	first := false
	r.once.Do(func() { close(r.began); first = true })
	if !first {
		<-r.open
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *reader) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// listen opens a stream that takes its first line and then nothing until its gate is opened. done is closed when it has ended.
func (w *world) listen(path, last string) (r *reader, done <-chan struct{}, leave func()) {
	w.t.Helper()
	r = &reader{header: make(http.Header), open: make(chan struct{}), began: make(chan struct{}), code: http.StatusOK}
	ctx, cancel := context.WithCancel(w.t.Context())
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.server.Config.Handler.ServeHTTP(r, request)
	}()
	w.t.Cleanup(func() { cancel(); <-ended })
	select {
	case <-r.began:
	case <-time.After(patience):
		w.t.Fatalf("%s: nothing after %v", path, patience)
	}
	return r, ended, cancel
}

var streamID = regexp.MustCompile(`(?m)^id: (\d+)$`)

// I10, I15: a client that falls too far behind is told so and cut off; what it got until then has no gap, and from there on it
// gets the rest.
func TestSlowClientIsToldAndComesBack(t *testing.T) {
	w := newWorld(t, nil)
	w.say(events.Joined, "n1", "n1", 1, events.Evidence{})
	w.say(events.Joined, "n2", "n2", 1, events.Evidence{})
	w.settle()
	slow, done, _ := w.listen("/v1/events/stream", "")
	last := uint64(0)
	for range 3 * projector.RecentMax {
		last = w.say(events.HealthCheckFailed, "n1", "n2", 1, events.Evidence{Phi: 9})
	}
	w.settle()
	close(slow.open)
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("served still after %v", patience)
	}
	text := slow.String()
	next := uint64(3)
	for _, found := range streamID.FindAllStringSubmatch(text, -1) {
		if found[1] != strconv.FormatUint(next, 10) {
			t.Fatalf("position %s, want %d", found[1], next)
		}
		next++
	}
	if _, end, _ := strings.Cut(text, "event: end\ndata: "); !strings.Contains(end, `"urn:rollcall:problem:too-slow"`) {
		t.Errorf("the end: %q", end)
	}
	if next == 3 || next > last {
		t.Fatalf("it got positions 3 to %d of %d before it was cut off", next-1, last)
	}

	again, _, leave := w.listen("/v1/events/stream", strconv.FormatUint(next-1, 10))
	close(again.open)
	deadline := time.After(patience)
	for !strings.Contains(again.String(), "\nid: "+strconv.FormatUint(last, 10)+"\n") {
		select {
		case <-deadline:
			t.Fatalf("not at %d after %v", last, patience)
		case <-time.After(10 * time.Millisecond):
		}
	}
	leave()
	for _, found := range streamID.FindAllStringSubmatch(again.String(), -1) {
		if found[1] != strconv.FormatUint(next, 10) {
			t.Fatalf("after it came back: position %s, want %d", found[1], next)
		}
		next++
	}
}

// I15: one stream more than there may be is refused at once, and let in when another has ended.
func TestStreamsAreBounded(t *testing.T) {
	w := newWorld(t, func(c *httpapi.Config) { c.Streams = 2 })
	w.episode()
	w.settle()
	_, done, leave := w.listen("/v1/events/stream", "")
	w.listen("/v1/events/stream", "")
	r := w.get("/v1/events/stream")
	if r.status != http.StatusServiceUnavailable || r.body["type"] != "urn:rollcall:problem:too-many-streams" ||
		!strings.Contains(r.raw, "2 streams are open") {
		t.Errorf("%d %s", r.status, r.raw)
	}
	leave()
	<-done
	w.listen("/v1/events/stream", "")
}
