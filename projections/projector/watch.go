package projector

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sort"
	"time"

	"rollcall/events"
	"rollcall/projections"
)

const (
	// RecentMax is how many of the last events are kept in memory at least, for all watchers together; BatchMax more at most. Where
	// nobody watches, none are kept that are further from the end of the log than that.
	RecentMax = 4096

	// PageMax is the most events in one page.
	PageMax = 1000

	// pageScanMax is how many events are looked through for one page before it is handed out short.
	pageScanMax = 50_000

	// BatchMax is how many events are taken at a time: where there are as many, there may be more at once.
	BatchMax = 256
)

// ErrSlow ends a Watch whose reader fell further behind than the recent events reach. Nothing is lost: watch again from the
// position after the last one seen.
var ErrSlow = errors.New("the reader is too slow: watch again from where it stopped")

// Notice is one event with what the fold made of it. It is shared and read only.
type Notice struct {
	events.Recorded
	Outcome *events.Outcome // nil for an event older than what the timeline keeps of its node
}

// recent holds the last events, in blocks of BatchMax, of which all but the last are full. A place is written once, before any
// reader is shown it, so what a reader took stays as it is.
type recent struct {
	blocks []block
	from   uint64 // every event at or after this position is in blocks
}

// block holds events whose positions rise, and what was made of each.
type block struct {
	notices  []Notice
	outcomes []events.Outcome
}

// recentBlocks is how many blocks hold RecentMax events when the last of them has only one.
const recentBlocks = RecentMax/BatchMax + 1

func (r *recent) reset(position uint64) { r.blocks, r.from = nil, position+1 }

func (r *recent) add(rec *events.Recorded, outcome events.Outcome) {
	n := len(r.blocks) - 1
	if n < 0 || len(r.blocks[n].notices) == BatchMax {
		if len(r.blocks) == recentBlocks {
			r.from = r.blocks[0].notices[BatchMax-1].Position + 1
			r.blocks = slices.Delete(r.blocks, 0, 1)
		}
		r.blocks = append(r.blocks, block{make([]Notice, 0, BatchMax), make([]events.Outcome, 0, BatchMax)})
		n = len(r.blocks) - 1
	}
	b := &r.blocks[n]
	b.outcomes = append(b.outcomes, outcome)
	b.notices = append(b.notices, Notice{Recorded: *rec, Outcome: &b.outcomes[len(b.outcomes)-1]})
}

// attend notes that there are n more who follow the events as they are folded.
func (p *Projector) attend(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.following += n
}

// passingLocked reports whether the event just folded need not be kept: nobody follows, and by what is known of the log so many
// are still to come that it would be gone before the views hold everything.
func (p *Projector) passingLocked() bool {
	return p.following == 0 && p.pulse.last > p.views.Position()+RecentMax+BatchMax
}

// after returns up to BatchMax events from position on, and none only when there is none.
func (r *recent) after(position uint64) []Notice {
	b := sort.Search(len(r.blocks), func(b int) bool {
		list := r.blocks[b].notices
		return list[len(list)-1].Position >= position
	})
	if b == len(r.blocks) {
		return nil
	}
	list := r.blocks[b].notices
	i := sort.Search(len(list), func(i int) bool { return list[i].Position >= position })
	return slices.Clip(list[i:])
}

// Watch yields every event that passes filter, from position on, in order and each once, first those already folded, then
// each as it is folded, until ctx ends or the loop breaks. Position 0 is the next event to come, 1 the first of the log. An event that
// cannot be read is passed over. The last thing yielded is an error when the sequence ends by itself: ErrSlow, ErrStopped, or what the log said
// (events.ErrIncomplete when it no longer reaches back).
func (p *Projector) Watch(ctx context.Context, filter events.Filter, position uint64) iter.Seq2[Notice, error] {
	return func(yield func(Notice, error) bool) {
		for batch, err := range p.Batches(ctx, position, 0) {
			if err != nil {
				yield(Notice{}, err)
				return
			}
			for _, n := range batch {
				if filter.Match(n.Event) && !yield(n, nil) {
					return
				}
			}
		}
	}
}

// Batches yields what Watch yields, unfiltered and as many events at a time as there are, up to a bound: for many readers of
// fast events, each of which would otherwise be woken by each event. A batch is shared and read only. With idle above 0
// an empty one comes whenever there was nothing for that long.
func (p *Projector) Batches(ctx context.Context, position uint64, idle time.Duration) iter.Seq2[[]Notice, error] {
	return func(yield func([]Notice, error) bool) {
		if idle == 0 {
			idle = math.MaxInt64 // three centuries
		}
		silence := time.NewTimer(idle)
		defer silence.Stop()
		p.attend(1)
		defer p.attend(-1)
		next, live := position, position == 0
		for ctx.Err() == nil {
			p.mu.RLock()
			upTo, stopped := p.tell(p.views.Position()), p.stopped
			if next == 0 {
				next = upTo + 1
			}
			batch, gap := p.recent.after(next), next < p.recent.from
			var place *awaited
			if len(batch) == 0 && !gap && stopped == nil {
				next = max(next, upTo+1) // what lies between cannot be read
				place = p.waiting.at(next)
			}
			p.mu.RUnlock()
			more := true
			switch {
			case gap && live:
				yield(nil, ErrSlow)
				return
			case gap:
				more, next = p.replay(ctx, next, upTo, yield), upTo+1
			case len(batch) > 0:
				next, live = batch[len(batch)-1].Position+1, true
				more = yield(batch, nil)
			case stopped != nil:
				yield(nil, stopped)
				return
			default:
				if !p.await(ctx, place, silence.C) {
					continue
				}
				more = yield(nil, nil)
			}
			if !more {
				return
			}
			silence.Reset(idle)
		}
	}
}

// await waits at a place until its position is reached or ctx has ended, and reports whether silence was over before.
func (p *Projector) await(ctx context.Context, place *awaited, silence <-chan time.Time) bool {
	defer p.waiting.leave(place)
	select {
	case <-place.reached:
	case <-ctx.Done():
	case <-silence:
		return true
	}
	return false
}

// replay yields the events from..upTo out of the log. It reports whether to go on.
func (p *Projector) replay(ctx context.Context, from, upTo uint64, yield func([]Notice, error) bool) bool {
	var batch []Notice
	for n, err := range p.read(ctx, from, upTo) {
		if err != nil {
			if ctx.Err() == nil && (len(batch) == 0 || yield(batch, nil)) {
				yield(nil, err)
			}
			return false
		}
		if n.ID != "" {
			batch = append(batch, n)
		}
		if len(batch) == BatchMax {
			if !yield(batch, nil) {
				return false
			}
			batch = nil
		}
	}
	return ctx.Err() == nil && (len(batch) == 0 || yield(batch, nil))
}

// read yields the events from..upTo out of the log, where upTo is a position that the fold has passed. One that cannot be
// read is yielded with its position alone.
func (p *Projector) read(ctx context.Context, from, upTo uint64) iter.Seq2[Notice, error] {
	return func(yield func(Notice, error) bool) {
		if from > upTo {
			return
		}
		for rec, err := range p.cfg.Log.Subscribe(ctx, events.Filter{}, p.between(from, upTo)) {
			var bad *events.DecodeError
			n := Notice{Recorded: rec}
			switch {
			case errors.As(err, &bad):
				n = Notice{Recorded: events.Recorded{Position: bad.Position}}
			case err != nil:
				yield(Notice{}, err)
				return
			default:
				n.Outcome = p.outcome(rec.Node, rec.Position)
			}
			if !yield(n, nil) || n.Position == upTo {
				return
			}
		}
		if ctx.Err() != nil {
			yield(Notice{}, context.Cause(ctx))
			return
		}
		yield(Notice{}, fmt.Errorf("%w: reading positions %d to %d ended early", events.ErrUnavailable, from, upTo))
	}
}

// outcome is what the fold made of the event, where the timeline still has it.
func (p *Projector) outcome(node string, position uint64) *events.Outcome {
	var out *events.Outcome
	p.View(func(v *projections.Views) {
		if o, ok := v.Timeline.Outcome(node, position); ok {
			out = &o
		}
	})
	return out
}

// From returns the position from which on events are stored at the instant or later: its position, or of its time the position
// of the first such event, which may be the next to come. It fails with what the log says.
func (p *Projector) From(ctx context.Context, at At) (uint64, error) {
	if at.Time.IsZero() {
		return at.Position, nil
	}
	info, err := p.info(ctx)
	if err != nil {
		return 0, err
	}
	if info.Last == 0 {
		return 1, nil
	}
	for rec, err := range p.cfg.Log.Subscribe(ctx, events.Filter{}, events.From{Time: at.Time, Through: info.Last}) {
		var bad *events.DecodeError
		switch {
		case errors.As(err, &bad):
			return bad.Position, nil
		case err != nil:
			return 0, err
		}
		return rec.Position, nil
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return info.Last + 1, nil
}

// Page returns at most limit (1 to PageMax) folded events that pass filter, from position from on (0 or 1: the first), and
// the position from which the next page starts. A page may be short, even empty, before the end is reached: the end is
// where next is above the view's position.
func (p *Projector) Page(
	ctx context.Context, filter events.Filter, from uint64, limit int,
) (page []Notice, next uint64, err error) {
	if limit < 1 || limit > PageMax {
		return nil, 0, fmt.Errorf("%w: page of %d events, want 1 to %d", ErrConfig, limit, PageMax)
	}
	next = max(from, 1)
	scanned := 0
	take := func(n Notice) (more bool) {
		next = n.Position + 1
		if n.ID != "" && filter.Match(n.Event) {
			page = append(page, n)
		}
		scanned++
		return len(page) < limit && scanned < pageScanMax
	}
	p.mu.RLock()
	upTo, recentFrom := p.tell(p.views.Position()), p.recent.from
	p.mu.RUnlock()
	if next < recentFrom {
		for n, err := range p.read(ctx, next, upTo) {
			if err != nil {
				return nil, 0, err
			}
			if !take(n) {
				return page, next, nil
			}
		}
		return page, next, nil
	}
	for {
		p.mu.RLock()
		batch, gone := p.recent.after(next), next < p.recent.from
		p.tell(p.views.Position())
		p.mu.RUnlock()
		if gone { // the fold was faster: the log has what follows
			return page, next, nil
		}
		if len(batch) == 0 {
			return page, max(next, upTo+1), nil
		}
		for _, n := range batch {
			if !take(n) {
				return page, next, nil
			}
		}
	}
}
