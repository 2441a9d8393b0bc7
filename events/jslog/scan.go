package jslog

import (
	"context"
	"fmt"
	"iter"
	"time"
)

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
		r := &reader{log: l}
		r.take = func(m message) error {
			r.next = m.Sequence + 1
			if m.Sequence > last || !yield(Message{m.Sequence, m.Subject, m.Data, m.Time.UTC()}, nil) ||
				m.Sequence == last || m.pending == 0 { // nothing behind it: the end is missing
				return errEnough
			}
			return nil
		}
		if err := r.run(ctx); err != nil {
			yield(Message{}, fmt.Errorf("scan: %w", err))
		}
	}
}
