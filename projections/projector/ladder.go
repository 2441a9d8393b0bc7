package projector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"rollcall/events"
)

// Bounds of the checkpoints that are kept. At the first of them the steps are doubled, and every other one is let go.
const (
	// CheckpointsMax is how many there are, at steps of at most one part in half as many of the log.
	CheckpointsMax = 64

	// CheckpointBytesMax is how large they are together.
	CheckpointBytesMax = 1 << 30

	// DefaultCheckpointEvery is the step they begin with, in positions.
	DefaultCheckpointEvery = 16_384
)

// ladder is which checkpoints there are, by what the store holds: of each step of the log at most one, at the first position
// that one was taken at in it.
type ladder struct {
	step  uint64 // doubles
	rungs []kept // positions rise
	bytes int64
}

// load takes in what the store holds, newest first, and returns those to be removed.
func (l *ladder) load(found []kept) (out []kept) {
	l.rungs = slices.Clone(found)
	slices.Reverse(l.rungs)
	l.bytes = 0
	for _, k := range l.rungs {
		l.bytes += k.Bytes
	}
	return l.fit()
}

// fit leaves one a step, and doubles the steps until there is room for all that are left.
func (l *ladder) fit() (out []kept) {
	out = l.thin()
	for l.over() && len(l.rungs) > 1 {
		l.step *= 2
		out = append(out, l.thin()...)
	}
	return out
}

func (l *ladder) over() bool { return len(l.rungs) > CheckpointsMax || l.bytes > CheckpointBytesMax }

// drop forgets one that is not there, or cannot be read.
func (l *ladder) drop(name string) {
	l.rungs = slices.DeleteFunc(l.rungs, func(r kept) bool {
		if r.Name == name {
			l.bytes -= r.Bytes
		}
		return r.Name == name
	})
}

// add puts in one more, in the place of one at its step if again says so, and returns those to be removed.
func (l *ladder) add(k kept, again bool) (out []kept) {
	if again {
		l.rungs = slices.DeleteFunc(l.rungs, func(r kept) bool {
			same := r.position/l.step == k.position/l.step
			if same {
				out, l.bytes = append(out, r), l.bytes-r.Bytes
			}
			return same
		})
	}
	i, _ := slices.BinarySearchFunc(l.rungs, k, older)
	l.rungs = slices.Insert(l.rungs, i, k)
	l.bytes += k.Bytes
	return append(out, l.fit()...)
}

// thin leaves one a step, the first, and of several at that position the last: it knows better.
func (l *ladder) thin() (out []kept) {
	left := l.rungs[:0]
	for _, r := range l.rungs {
		if n := len(left); n > 0 && left[n-1].position/l.step == r.position/l.step {
			if left[n-1].position == r.position {
				left[n-1], r = r, left[n-1]
			}
			out, l.bytes = append(out, r), l.bytes-r.Bytes
			continue
		}
		left = append(left, r)
	}
	l.rungs = left
	return out
}

// due reports whether position is in a step that has none yet.
func (l *ladder) due(position uint64) bool {
	_, there := slices.BinarySearchFunc(l.rungs, position/l.step, func(r kept, step uint64) int {
		return cmp.Compare(r.position/l.step, step)
	})
	return position >= l.step && !there
}

// climb hands checkpoints to the keeper as a fold, of the present or of the past, goes through steps that have none. It belongs
// to that fold.
type climb struct {
	p    *Projector
	next uint64 // none is due below
}

// tick is called after each event. Where the keeper has no room, a later event of the step will do; a step that is left
// without, the next view of the past that passes it makes up for.
func (c *climb) tick(position uint64, freeze func() keep) {
	if position < c.next {
		return
	}
	p := c.p
	p.mu.RLock()
	due, step := p.ladder.due(position), p.ladder.step
	p.mu.RUnlock()
	if due && !p.hand(freeze) {
		return
	}
	c.next = (position/step + 1) * step
}

// addRung notes a checkpoint that was written and removes those for which there is no room.
func (p *Projector) addRung(ctx context.Context, k kept, again bool) {
	p.mu.Lock()
	out := p.ladder.add(k, again)
	p.mu.Unlock()
	p.letGo(ctx, out)
}

// recognizeLadder puts aside the checkpoints that are ahead of the views and not of this log: it was restored from a copy that
// is older than they are. Where the log has the newest one's event, it has the others'.
func (p *Projector) recognizeLadder(ctx context.Context, info events.Info) error {
	for {
		p.mu.RLock()
		position, n := p.views.Position(), len(p.ladder.rungs)
		var newest kept
		if n > 0 {
			newest = p.ladder.rungs[n-1]
		}
		p.mu.RUnlock()
		if newest.position <= position || newest.position < info.First {
			return nil
		}
		err := p.recognize(ctx, events.Mark{Position: newest.position, Stored: newest.stored})
		if !errors.Is(err, events.ErrReplaced) {
			return err
		}
		p.setAside(ctx, newest, fmt.Errorf("%w: %w", errSnapshot, err))
	}
}

// letGo removes what is not kept any longer.
func (p *Projector) letGo(ctx context.Context, out []kept) {
	for _, r := range out {
		err := p.store.Remove(ctx, r.Name)
		if err == nil {
			continue
		}
		if p.untidy = true; !errors.Is(err, context.Canceled) {
			p.log.Warn("what is not kept any longer stays", "store", p.store.String(), "name", r.Name, "error", err)
		}
	}
}
