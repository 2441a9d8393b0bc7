package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"rollcall/events"
	"rollcall/events/outbox"
)

// OwedMax is how many events are remembered that the outbox refused. A full disk is no reason to leave the log wrong for good:
// a verdict that nobody records would keep a dead node alive in every view. Where there are more, they are compacted.
const OwedMax = 1024

const (
	owedInterval = time.Second // how often the outbox is asked whether it takes what it refused
	owedBatch    = 64          // events said again in one transaction
)

// owed is what the outbox refused, in the order in which it was observed. It lives in memory: a process that ends before the
// outbox takes it has forgotten it, and its next life joins at a higher incarnation.
type owed struct {
	saying sync.Mutex // held while the outbox is offered what is owed

	mu        sync.Mutex
	drafts    []events.Event
	offered   int           // of drafts, the first ones, that the outbox is about to take
	forgotten uint64        // that found no room
	none      chan struct{} // closed when nothing is owed; nil when nobody waits
}

// follow adds drafts behind what is owed already, and reports whether anything was: nobody overtakes what is owed (I4). It fails
// with events.ErrInvalid, having added nothing, for what no outbox will ever take.
func (o *owed) follow(drafts []events.Event) (behind bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.drafts) == 0 {
		return false, nil
	}
	for _, ev := range drafts {
		if _, err := events.Encode(ev); err != nil {
			return true, err
		}
	}
	o.add(drafts)
	return true, nil
}

func (o *owed) owe(drafts []events.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.add(drafts)
}

// add is owe for who holds mu. What makes a state of our own clear always finds room.
func (o *owed) add(drafts []events.Event) {
	for _, ev := range drafts {
		if len(o.drafts) >= OwedMax {
			o.drafts = slices.Concat(o.drafts[:o.offered], compacted(o.drafts[o.offered:]))
		}
		if len(o.drafts) >= OwedMax && !state(ev.Kind) && ev.Kind != events.Left {
			o.forgotten++
			continue
		}
		o.drafts = append(o.drafts, ev)
	}
}

// head offers the oldest of what is owed, n at most; taken lets go of them.
func (o *owed) head(n int) []events.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.offered = min(n, len(o.drafts))
	return slices.Clone(o.drafts[:o.offered])
}

// taken says whether the outbox took what head offered.
func (o *owed) taken(all bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if all {
		o.drafts = slices.Clone(o.drafts[o.offered:])
	}
	o.offered = 0
	if len(o.drafts) == 0 && o.none != nil {
		close(o.none)
		o.none = nil
	}
}

func (o *owed) stats() (waiting int, forgotten uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.drafts), o.forgotten
}

// wait returns when nothing is owed, or with the context's error.
func (o *owed) wait(ctx context.Context) error {
	o.mu.Lock()
	if len(o.drafts) == 0 {
		o.mu.Unlock()
		return nil
	}
	if o.none == nil {
		o.none = make(chan struct{})
	}
	none := o.none
	o.mu.Unlock()
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// state reports whether an event of this kind says how its owner is.
func state(k events.Kind) bool {
	return k == events.Joined || k == events.Refuted || k == events.Tagged
}

// compacted keeps of every kind of event about a node the newest, and of what we said about ourselves one that says it all.
func compacted(drafts []events.Event) []events.Event {
	type subject struct {
		node string
		kind events.Kind
	}
	newest := make(map[subject]int) // to its place in kept
	var kept []events.Event         // newest first
	for _, ev := range slices.Backward(drafts) {
		s := subject{ev.Node, ev.Kind}
		if state(ev.Kind) {
			s.kind = events.Joined
		}
		if i, there := newest[s]; !there {
			newest[s] = len(kept)
			kept = append(kept, ev)
		} else if state(ev.Kind) {
			kept[i] = covering(kept[i], ev)
		}
	}
	slices.Reverse(kept)
	return kept
}

// covering is a later state of ourselves said so that an earlier one, which the log has not heard of, is not missed: joined
// brings the address and the tags, tagged the tags, refuted tags if there are any.
func covering(later, earlier events.Event) events.Event {
	switch {
	case earlier.Kind == events.Joined,
		earlier.Kind == events.Tagged && later.Kind == events.Refuted && len(later.Tags) == 0:
		later.Kind = earlier.Kind
	}
	before, err := events.ParseEvidence(earlier.Evidence)
	if err != nil {
		return later
	}
	return amended(later, func(e *events.Evidence) { e.Previous = before.Previous })
}

// keep has drafts on disk when it returns nil. It takes all or none.
func (r *Recorder) keep(drafts []events.Event) error {
	if len(drafts) == 0 {
		return nil
	}
	behind, err := r.owed.follow(drafts)
	switch {
	case err != nil:
	case behind:
		err = r.sayOwed()
	default:
		err = r.cfg.Outbox.Put(drafts...)
		signal(r.wake)
		if errors.Is(err, outbox.ErrFull) {
			r.owed.owe(drafts)
		}
	}
	return refused(err)
}

// refused is what the caller of Record learns.
func refused(err error) error {
	switch {
	case errors.Is(err, outbox.ErrFull):
		return fmt.Errorf("record: not on disk, and said again when the outbox takes it: %w", err)
	case err != nil:
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// sayOwed offers the outbox what it refused, and returns nil when it has all of it.
func (r *Recorder) sayOwed() error {
	r.owed.saying.Lock()
	defer r.owed.saying.Unlock()
	for said, batch := 0, owedBatch; ; {
		if err := r.cfg.Outbox.Accepting(); err != nil {
			return err
		}
		head := r.owed.head(batch)
		if len(head) == 0 {
			if said > 0 {
				r.logger.Info("the outbox has what it had refused", "events", said)
			}
			return nil
		}
		err := r.cfg.Outbox.Put(head...)
		r.owed.taken(err == nil)
		switch {
		case err == nil:
			said += len(head)
			signal(r.wake)
		case errors.Is(err, outbox.ErrFull) && len(head) > 1:
			batch = 1 // there may be room for some
		default:
			return err
		}
	}
}

// payOwed tries that again and again until ctx ends.
func (r *Recorder) payOwed(ctx context.Context) {
	tick := time.NewTicker(owedInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done(): // a last time
		}
		if waiting, _ := r.owed.stats(); waiting > 0 {
			_ = r.sayOwed() // the outbox says in its own log that it refuses
		}
	}
}
