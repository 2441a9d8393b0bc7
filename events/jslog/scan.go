package jslog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// errTail says that a consumer knows of nothing behind what it delivered. It reads a replica, which may lag.
var errTail = fmt.Errorf("%w: a consumer came to its end", events.ErrUnavailable)

// Message is what the stream holds at a position, whatever it is.
type Message struct {
	Position uint64
	Subject  string
	Body     []byte
	Stored   time.Time // by the server's clock, UTC
}

// Scan yields what the stream holds from its first position up to last, in order, and ends there: for who looks at the log
// itself and not at what it means. Nothing is decoded and nothing left out; a position that is missing in between is
// passed without a word. It survives what Subscribe survives, and ends with the errors that Subscribe ends with, among
// them events.ErrIncomplete when the stream does not begin at position 1. Info says how far there is to read.
func (l *Log) Scan(ctx context.Context, last uint64) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		if last == 0 {
			return
		}
		r := &reader{log: l, until: last}
		r.take = func(m message) error {
			r.pass(m)
			if m.Sequence > last || !yield(Message{m.Sequence, m.Subject, m.Data, m.Time.UTC()}, nil) {
				return errEnough
			}
			return nil
		}
		if err := r.run(ctx); err != nil {
			yield(Message{}, fmt.Errorf("scan: %w", err))
		}
	}
}

// left asks the stream's leader whether there is anything to read up to r.until, and fails with errEnough when there is not.
func (r *reader) left(ctx context.Context, k *link, info *jetstream.StreamInfo) error {
	if info.State.LastSeq < r.until && r.behind(info) {
		return fmt.Errorf("%w: the leader has only %d events so far", events.ErrUnavailable, info.State.LastSeq)
	}
	filter := r.subject
	if filter == "" {
		filter = events.ClusterFilter(r.log.cfg.Cluster)
	}
	m, err := r.log.get(ctx, k, messageGet{Sequence: r.next, Next: filter})
	switch {
	case err == nil && m.Sequence <= r.until:
		return nil
	case err != nil && !errors.Is(err, events.ErrNotFound):
		return err
	case r.from.Through > 0 && r.subject == "" && r.next <= r.until: // a scan does not mind
		return fmt.Errorf("%w: positions %d to %d are missing", events.ErrIncomplete, r.next, r.until)
	}
	return errEnough
}

// ended fails with errEnough when everything up to r.until was read, and with errTail when it was not and the consumer has
// no more.
func (r *reader) ended(pending uint64) error {
	switch {
	case r.until == 0:
		return nil
	case r.next > r.until:
		return errEnough
	case pending == 0:
		return errTail
	}
	return nil
}
