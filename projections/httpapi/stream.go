package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"rollcall/events"
	"rollcall/projections/projector"
)

// streamRest is how long a stream gathers events after it has sent some.
const streamRest = 50 * time.Millisecond

// retryMillis is how long a client that was cut off waits before it comes back.
const retryMillis = 1000

// logHeader names the log whose positions a stream has.
const logHeader = "Rollcall-Log"

// stream sends events as they are folded: id is the position, event the kind, data what /v1/events has in its list.
func (a *api) stream(w http.ResponseWriter, r *http.Request) error {
	filter, err := eventFilter(r.URL.Query())
	if err != nil {
		return err
	}
	from, err := a.streamFrom(r)
	if err != nil {
		return err
	}
	select {
	case a.streams <- struct{}{}:
		defer func() { <-a.streams }()
	default:
		return problemf(http.StatusServiceUnavailable, "too-many-streams", "Too many streams are open",
			"%d streams are open, which is as many as there may be; try again later", a.cfg.Streams).again()
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set(logHeader, a.p.Status().Identity)
	if r.Method == http.MethodHead {
		return nil
	}
	if r.ProtoMajor == 1 {
		// The connection ends with the stream, and what is written is sent as it is: in chunks, each write would be three.
		w.Header().Set("Transfer-Encoding", "identity")
	}
	s := &sender{w: w, ctl: http.NewResponseController(w), stall: a.cfg.ClientStall}
	if from == 0 { // settled here, so that the first line is true
		from = a.p.Position() + 1
	}
	s.printf("retry: %d\n: from position %d\n\n", retryMillis, from)
	if err := s.flush(); err != nil {
		return nil //nolint:nilerr // the client is gone, and there is nobody to tell
	}
	a.pump(r.Context(), s, filter, from)
	return nil
}

// streamFrom returns where to start; 0 is the next event to come. Last-Event-ID, which a browser sends by itself when it comes
// back, goes before from=. Positions of another log mean nothing in this one, and would pass over what happened in it.
func (a *api) streamFrom(r *http.Request) (uint64, error) {
	ctx, cancel := context.WithTimeout(r.Context(), logReadMax)
	defer cancel()
	query := r.URL.Query()
	at, given, err := positionOrTime(query, "from")
	if err != nil {
		return 0, err
	}
	log, err := single(query, "log")
	if err != nil {
		return 0, err
	}
	if identity := a.p.Status().Identity; log != "" && identity != "" && log != identity {
		return 0, replaced("the log that is read here is %s, not %.80q", identity, log)
	}
	last := r.Header.Get("Last-Event-ID")
	switch {
	case last == "" && given:
		return a.p.From(ctx, at)
	case last == "":
		return 0, nil
	}
	n, err := strconv.ParseUint(last, 10, 64)
	if err != nil || n > positionMax {
		return 0, problemf(http.StatusBadRequest, "bad-last-event-id", "Last-Event-ID cannot be read",
			"%.40q is not a position; send the id of the last event that was seen, or leave the header out", last)
	}
	return n + 1, a.reaches(ctx, n, log)
}

// reaches refuses a position that was read if neither the log nor the views have it: for good, unless the client read it in the
// log that is called log, and that is this one, whose leader may have yet to catch up. While the log does not answer nobody can
// tell, and nothing is passed over either.
func (a *api) reaches(ctx context.Context, read uint64, log string) error {
	info, err := a.p.Log().Info(ctx)
	last := max(info.Last, a.p.Position())
	switch {
	case err != nil || read <= last:
		return nil
	case log != "" && log == info.Identity:
		return problemf(http.StatusServiceUnavailable, "log-behind", "The log is not that far yet",
			"it ends at position %d, before %d, which was read: its leader may have yet to catch up; try again", last, read).again()
	}
	return replaced("it ends at position %d, before %d, which was read", last, read)
}

func replaced(format string, args ...any) *problem {
	p := problemf(http.StatusConflict, "log-replaced", "That is another log", format, args...)
	p.Detail += "; what was read before means nothing here: read it again from its beginning"
	return p
}

// pump moves events from the views to the client until one of them ends. It sends what there is, rests, and sends what has
// come meanwhile: an event after a silence goes out at once, and a thousand clients of a thousand events a second are
// written to twenty times each instead of a thousand.
func (a *api) pump(ctx context.Context, s *sender, filter events.Filter, from uint64) {
	said := time.Now() // something, last
	for batch, err := range a.p.Batches(ctx, from, a.cfg.Heartbeat) {
		if err != nil {
			a.end(ctx, s, err)
			return
		}
		if a.sendBatch(s, filter, batch) != nil {
			return // gone, or it took nothing for too long
		}
		if !s.sent && time.Since(said) >= a.cfg.Heartbeat {
			s.printf(": position %d\n\n", a.p.Position())
		}
		if s.sent {
			if s.flush() != nil {
				return
			}
			said = time.Now()
		}
		if n := len(batch); n > 0 && n < projector.BatchMax && !pause(ctx, streamRest) {
			return
		}
	}
}

// sendBatch sends the events of a batch that pass the filter.
func (a *api) sendBatch(s *sender, filter events.Filter, batch []projector.Notice) error {
	for len(batch) > 0 {
		passing := passingOf(filter, batch)
		for chosen := batch[:passing]; len(chosen) > 0; {
			run, n := a.frames.run(chosen)
			if err := s.send(run); err != nil {
				return err
			}
			chosen = chosen[n:]
		}
		batch = batch[min(passing+1, len(batch)):] // the next one does not pass
	}
	return nil
}

// passingOf is how many of the first events of a batch pass the filter.
func passingOf(filter events.Filter, batch []projector.Notice) (n int) {
	if filter == (events.Filter{}) {
		return len(batch)
	}
	for n < len(batch) && filter.Match(batch[n].Event) {
		n++
	}
	return n
}

// pause reports whether d passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// end tells the client why nothing more comes.
func (a *api) end(ctx context.Context, s *sender, err error) {
	var p *problem
	if errors.Is(err, projector.ErrSlow) {
		p = problemf(http.StatusTooManyRequests, "too-slow", "The client is too slow",
			"it fell more than %d events behind; come back with Last-Event-ID, nothing is lost", projector.RecentMax)
	} else {
		p = a.problemOf(ctx, err)
	}
	data, err := json.Marshal(p)
	if err != nil {
		return
	}
	s.printf("event: end\ndata: %s\n\n", data)
	_ = s.flush() // it may be gone already
}

const (
	// gatherMax is how many bytes are gathered before they are written.
	gatherMax = 32 << 10

	// gatherEach is how many bytes at a time are worth copying to be written with others.
	gatherEach = 4 << 10
)

// sender writes to one client under a deadline, and gathers what is little.
type sender struct {
	w     http.ResponseWriter
	ctl   *http.ResponseController
	stall time.Duration
	buf   bytes.Buffer
	sent  bool // something, since the last flush
}

func (s *sender) printf(format string, args ...any) {
	fmt.Fprintf(&s.buf, format, args...)
	s.sent = true
}

// send writes p, or keeps a copy of it to be written with what comes.
func (s *sender) send(p []byte) error {
	s.sent = true
	if len(p) < gatherEach {
		s.buf.Write(p)
		if s.buf.Len() < gatherMax {
			return nil
		}
		p = nil
	}
	if err := s.write(s.buf.Bytes()); err != nil {
		return err
	}
	s.buf.Reset()
	return s.write(p)
}

// flush writes what was kept, and sends everything on its way.
func (s *sender) flush() error {
	if err := s.write(s.buf.Bytes()); err != nil {
		return err
	}
	s.buf.Reset()
	s.sent = false
	return s.ctl.Flush()
}

// write gives the client its whole patience for p.
func (s *sender) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	err := s.ctl.SetWriteDeadline(time.Now().Add(s.stall))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err = s.w.Write(p)
	return err
}
