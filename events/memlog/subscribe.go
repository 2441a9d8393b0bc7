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
		identity, position, err := l.start(ctx, from)
		if err != nil {
			if ctx.Err() == nil {
				yield(events.Recorded{}, fmt.Errorf("subscribe: %w", err))
			}
			return
		}
		for ; ; position++ {
			e, err := l.await(ctx, identity, position)
			if err != nil {
				if ctx.Err() == nil {
					yield(events.Recorded{}, fmt.Errorf("subscribe: %w", err))
				}
				return
			}
			if e.stored.Before(from.Time) || !wanted(filter, e.subject) {
				continue
			}
			if rec, err := e.decode(position); !yield(rec, err) {
				return
			}
		}
	}
}

// start waits for the log and returns which log it is and the first position to read.
func (l *Log) start(ctx context.Context, from events.From) (identity string, position uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.waitWhile(ctx, func() bool { return l.away }); err != nil {
		return "", 0, err
	}
	end := uint64(len(l.stored)) + 1
	switch {
	case from.Now:
		return l.identity, end, nil
	case !from.Time.IsZero():
		i := sort.Search(len(l.stored), func(i int) bool { return !l.stored[i].stored.Before(from.Time) })
		return l.identity, uint64(i) + 1, nil
	case from.Position > end:
		return "", 0, fmt.Errorf("%w: it ends at position %d, before %d", events.ErrReplaced, end-1, from.Position)
	default:
		return l.identity, max(1, from.Position), nil
	}
}

// await returns the event at position once it is there and the log is not away.
func (l *Log) await(ctx context.Context, identity string, position uint64) (entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.waitWhile(ctx, func() bool {
		return l.away || l.identity == identity && position >= l.first && position > uint64(len(l.stored))
	})
	switch {
	case err != nil:
		return entry{}, err
	case l.identity != identity:
		return entry{}, events.ErrReplaced
	case position < l.first:
		return entry{}, fmt.Errorf("%w: the log starts at position %d, wanted %d", events.ErrIncomplete, l.first, position)
	}
	return l.stored[position-1], nil
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
