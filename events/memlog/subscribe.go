package memlog

import (
	"context"
	"fmt"
	"iter"
	"sort"

	"rollcall/events"
)

// Subscribe implements [events.Log]. While the log is away the sequence waits; it does not end.
func (l *Log) Subscribe(ctx context.Context, filter events.Filter, from events.From) iter.Seq2[events.Recorded, error] {
	return func(yield func(events.Recorded, error) bool) {
		p, err := l.start(ctx, from)
		for ; err == nil; p.next++ {
			if p.through > 0 && p.next > p.through {
				return
			}
			var e entry
			if e, err = l.await(ctx, p); err != nil {
				break
			}
			if p.next > p.seen.Position {
				p.seen = events.Mark{Position: p.next, Stored: e.stored}
			}
			if e.stored.Before(from.Time) || !wanted(filter, e.subject) {
				continue
			}
			if rec, err := e.decode(p.next); !yield(rec, err) {
				return
			}
		}
		if ctx.Err() == nil {
			yield(events.Recorded{}, fmt.Errorf("subscribe: %w", err))
		}
	}
}

// place is where a subscription stands.
type place struct {
	identity string
	next     uint64      // position to read next
	seen     events.Mark // what was read last
	through  uint64      // last position to read; 0: there is none
}

// start waits for the log and returns the place to read from.
func (l *Log) start(ctx context.Context, from events.From) (place, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.waitWhile(ctx, func() bool { return l.away }); err != nil {
		return place{}, err
	}
	p := place{identity: l.identity, next: max(1, from.Position), seen: from.Seen, through: from.Through}
	switch {
	case from.Now:
		p.next = uint64(len(l.stored)) + 1
	case !from.Time.IsZero():
		i := sort.Search(len(l.stored), func(i int) bool { return !l.stored[i].stored.Before(from.Time) })
		p.next = uint64(i) + 1
	}
	if before := p.next - 1; p.seen.Position == 0 && before >= l.first && before <= uint64(len(l.stored)) {
		p.seen = events.Mark{Position: before, Stored: l.stored[before-1].stored}
	}
	return p, l.goesOn(p)
}

// await returns the event at p once it is there and the log is not away.
func (l *Log) await(ctx context.Context, p place) (entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.waitWhile(ctx, func() bool {
		return l.away || p.next > uint64(len(l.stored)) && l.goesOn(p) == nil
	})
	if err == nil {
		err = l.goesOn(p)
	}
	if err != nil {
		return entry{}, err
	}
	return l.stored[p.next-1], nil
}

// goesOn says what is against reading on from p. l.mu is held.
func (l *Log) goesOn(p place) error {
	end, reached := uint64(len(l.stored)), max(p.next-1, p.seen.Position, p.through)
	switch {
	case l.identity != p.identity:
		return events.ErrReplaced
	case reached > end:
		return fmt.Errorf("%w: it ends at position %d, and was read, or is wanted, up to %d", events.ErrReplaced, end, reached)
	case p.next < l.first:
		return fmt.Errorf("%w: the log starts at position %d, wanted %d", events.ErrIncomplete, l.first, p.next)
	case p.seen.Position >= l.first && !l.stored[p.seen.Position-1].stored.Equal(p.seen.Stored):
		return fmt.Errorf("%w: position %d is not what was read there", events.ErrReplaced, p.seen.Position)
	}
	return nil
}

// waitWhile returns when blocked, called with l.mu held, is false, or with the error of ctx. l.mu is held before and after.
func (l *Log) waitWhile(ctx context.Context, blocked func() bool) error {
	for ctx.Err() == nil && blocked() {
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		l.mu.Lock()
	}
	return ctx.Err()
}

// wanted applies filter to a subject. What is no event passes a filter that asks for nothing in particular.
func wanted(filter events.Filter, subject string) bool {
	ev, _ := events.ParseSubject(subject)
	return filter.Match(ev)
}
