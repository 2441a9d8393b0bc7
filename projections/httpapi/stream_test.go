package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/projections/httpapi"
	"rollcall/projections/projector"
)

// frame is one message of a stream.
type frame struct {
	id, event, data, comment string
}

type stream struct {
	t      *testing.T
	body   io.Closer
	lines  *bufio.Reader
	cancel context.CancelFunc
}

func (w *world) open(path string, header ...string) *stream {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("%s: %d %v", path, res.StatusCode, res.Header)
	}
	s := &stream{w.t, res.Body, bufio.NewReader(res.Body), cancel}
	w.t.Cleanup(s.close)
	return s
}

func (s *stream) close() {
	s.cancel()
	_ = s.body.Close()
}

// next reads up to the next empty line.
func (s *stream) next() frame {
	s.t.Helper()
	var f frame
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			s.t.Fatalf("stream ended: %v", err)
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "\n":
			return f
		case name == "id":
			f.id = value
		case name == "event":
			f.event = value
		case name == "data":
			f.data = value
		case name == "":
			f.comment = value
		}
	}
}

// event reads up to the next message that has an id.
func (s *stream) event() frame {
	s.t.Helper()
	for {
		if f := s.next(); f.id != "" {
			return f
		}
	}
}

func TestStreamCarriesPositionKindAndEvent(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	s := w.open("/v1/events/stream?from=4")
	f := s.event()
	if f.id != "4" || f.event != "suspected" {
		t.Fatalf("first: %+v", f)
	}
	var data any
	if err := json.Unmarshal([]byte(f.data), &data); err != nil {
		t.Fatal(err)
	}
	conforms(t, "Event", data)
}

func TestStreamStartsWithTheNextEvent(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	s := w.open("/v1/events/stream")
	s.next() // the greeting: from here on nothing is missed
	want := w.say(events.Suspected, "n2", "n1", 1, events.Evidence{})
	if f := s.event(); f.id != strconv.FormatUint(want, 10) {
		t.Errorf("first: %+v, want %d", f, want)
	}
}

func TestStreamFilters(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	s := w.open("/v1/events/stream?from=1&node=n3&kind=joined")
	if a, b := s.event(), s.event(); a.id != "3" || b.id != "7" {
		t.Errorf("got %s and %s", a.id, b.id)
	}
}

// I10: a client that is cut off anywhere and comes back with Last-Event-ID sees each position once, in order.
func TestI10StreamResumesWithoutGapOrRepeat(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	const total = 60
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range total - 7 {
			w.say(events.HealthCheckFailed, "n1", "n2", 1, events.Evidence{Phi: 9})
		}
	}()
	var got []uint64
	last := ""
	for take := 1; len(got) < total; take = take%7 + 1 {
		path, header := "/v1/events/stream?from=1", []string{}
		if last != "" {
			header = []string{"Last-Event-ID", last} // goes before from=
		}
		s := w.open(path, header...)
		for range min(take, total-len(got)) {
			last = s.event().id
			n, err := strconv.ParseUint(last, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, n)
		}
		s.close()
	}
	<-done
	for i, p := range got {
		if p != uint64(i+1) {
			t.Fatalf("event %d is #%d: %v", i+1, p, got)
		}
	}
}

// Who has read another log than the one that is served would pass over what happened in this one, and is told so (I10).
func TestStreamOfAnotherLogIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	info, err := w.log.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := "/v1/events/stream?log=" + url.QueryEscape(info.Identity)
	if r := w.do(http.MethodHead, path, nil); r.status != http.StatusOK || r.header.Get("Rollcall-Log") != info.Identity {
		t.Errorf("the same log: %d %v", r.status, r.header)
	}
	if f := w.open(path, "Last-Event-ID", "7").next(); f.comment != "from position 8" {
		t.Errorf("behind the last event: %+v", f)
	}
	for path, last := range map[string]string{"/v1/events/stream": "8", "/v1/events/stream?log=x": "3"} {
		r := w.do(http.MethodGet, path, nil, "Last-Event-ID", last)
		if r.status != http.StatusConflict || r.body["type"] != "urn:rollcall:problem:log-replaced" {
			t.Errorf("%s after %s: %d %s", path, last, r.status, r.raw)
		}
	}
}

// A time stands for the first event stored then or later.
func TestEventsFromATime(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	type item struct {
		Position uint64
		Stored   string
	}
	var page struct {
		Events []item
		Next   uint64
	}
	list := func(query string) {
		t.Helper()
		page.Events = nil
		if err := json.Unmarshal([]byte(w.get("/v1/events"+query).raw), &page); err != nil {
			t.Fatal(err)
		}
	}
	list("")
	at := url.QueryEscape(page.Events[3].Stored)
	want := 1 + slices.IndexFunc(page.Events, func(e item) bool { return e.Stored == page.Events[3].Stored }) // whoever was stored in the same instant comes too
	if list("?from=" + at); len(page.Events) != 8-want || page.Events[0].Position != uint64(want) {
		t.Errorf("from %s: %+v, want %d first", at, page, want)
	}
	if f := w.open("/v1/events/stream?from=" + at).event(); f.id != strconv.Itoa(want) {
		t.Errorf("stream from %s: %+v, want %d first", at, f, want)
	}
	if list("?from=2999-01-01T00:00:00Z"); len(page.Events) != 0 || page.Next != 8 {
		t.Errorf("from a time to come: %+v", page)
	}
	if list("?author=n2"); len(page.Events) != 2 || page.Events[0].Position != 2 || page.Events[1].Position != 5 {
		t.Errorf("by n2: %+v", page)
	}
}

func TestStreamBeatsWhenNothingHappens(t *testing.T) {
	w := newWorld(t, func(c *httpapi.Config) { c.Heartbeat = 5 * time.Millisecond })
	w.episode()
	s := w.open("/v1/events/stream")
	s.next()
	if f := s.next(); f.comment != "position 7" || f.id != "" || f.data != "" {
		t.Errorf("heartbeat: %+v", f)
	}
}

func TestStreamSaysWhyItEnds(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	s := w.open("/v1/events/stream")
	s.next()
	w.stop()
	f := s.next()
	if f.event != "end" || f.id != "" || !strings.Contains(f.data, projector.ErrStopped.Error()) {
		t.Errorf("end: %+v", f)
	}
	var data any
	if err := json.Unmarshal([]byte(f.data), &data); err != nil {
		t.Fatal(err)
	}
	conforms(t, "Problem", data)
}

func TestLastEventIDThatIsNoPosition(t *testing.T) {
	w := newWorld(t, nil)
	r := w.do(http.MethodGet, "/v1/events/stream", nil, "Last-Event-ID", "abc")
	if r.status != http.StatusBadRequest || r.body["type"] != "urn:rollcall:problem:bad-last-event-id" {
		t.Errorf("%d %s", r.status, r.raw)
	}
}

// A client that reads nothing is cut off when its socket takes no more, and holds nobody up (I15).
func TestClientThatReadsNothingIsCutOff(t *testing.T) {
	gone := make(chan struct{})
	w := newWorld(t, func(c *httpapi.Config) { c.ClientStall = 50 * time.Millisecond })
	inner := w.server.Config.Handler
	w.server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(rw, r)
		if r.URL.Path == "/v1/events/stream" {
			close(gone)
		}
	})
	w.say(events.Joined, "n1", "n1", 1, events.Evidence{})
	w.say(events.Joined, "n2", "n2", 1, events.Evidence{})
	big := events.Evidence{Reason: strings.Repeat("x", 12<<10)}
	for range 800 {
		w.say(events.HealthCheckFailed, "n1", "n2", 1, big)
	}
	w.settle()
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /v1/events/stream?from=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	select {
	case <-gone:
	case <-time.After(patience):
		t.Fatalf("still served after %v", patience)
	}
	if r := w.get("/v1/nodes"); ids(r) != "n1 n2" {
		t.Errorf("others: %s", r.raw)
	}
}

func TestI10ManyStreamsSeeTheSame(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	const clients, more = 40, 50
	results := make(chan []string, clients)
	for range clients {
		s := w.open("/v1/events/stream?from=1")
		go func() {
			var got []string
			for range 7 + more {
				got = append(got, s.event().id)
			}
			results <- got
		}()
	}
	for range more {
		w.say(events.HealthCheckFailed, "n2", "n1", 1, events.Evidence{})
	}
	var want []string
	for i := range 7 + more {
		want = append(want, strconv.Itoa(i+1))
	}
	for range clients {
		if got := <-results; !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	}
}

// What streams share is long enough ago forgotten; every frame still carries its own event.
func TestFramesCarryTheirOwnEvent(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	var last uint64
	for range 1100 {
		last = w.say(events.HealthCheckFailed, "n1", "n2", 1, events.Evidence{})
	}
	w.settle()
	for range 2 {
		s := w.open("/v1/events/stream?from=1")
		for position := uint64(1); position <= last; position++ {
			f := s.event()
			if want := fmt.Sprintf(`{"position":%d,`, position); f.id != strconv.FormatUint(position, 10) || !strings.HasPrefix(f.data, want) {
				t.Fatalf("frame %d: %+v", position, f)
			}
		}
		s.close()
	}
}
