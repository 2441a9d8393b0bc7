package projector

import (
	"cmp"
	"context"
	"slices"
)

// Bounds of the checkpoints that are kept. At the first of them the steps are doubled, and every other one is let go.
const (
	// CheckpointsMax is how many there are, so that a view of the past folds at most one part in half as many of the log.
	CheckpointsMax = 64

	// CheckpointBytesMax is how large they are together.
	CheckpointBytesMax = 1 << 30

	// DefaultCheckpointEvery is the step they begin with, in positions.
	DefaultCheckpointEvery = 16_384
)

// ladder is which checkpoints there are: of each step of the log at most one, the first that was taken in it.
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
	i, _ := slices.BinarySearchFunc(l.rungs, k, func(a, b kept) int { return cmp.Compare(a.position, b.position) })
	l.rungs = slices.Insert(l.rungs, i, k)
	l.bytes += k.Bytes
	return append(out, l.fit()...)
}

// thin leaves one a step, the first.
func (l *ladder) thin() (out []kept) {
	left := l.rungs[:0]
	for _, r := range l.rungs {
		if n := len(left); n > 0 && left[n-1].position/l.step == r.position/l.step {
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
	n := len(l.rungs)
	return position >= l.step && (n == 0 || l.rungs[n-1].position/l.step < position/l.step)
}

// checkpointDue is called by the fold after each event. Of each step it says yes once, whether the checkpoint comes about or
// not.
func (p *Projector) checkpointDue(position uint64) bool {
	if position < p.nextCheckpoint {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nextCheckpoint = (position/p.ladder.step + 1) * p.ladder.step
	return p.ladder.due(position)
}

// addRung notes a checkpoint that was written and removes those for which there is no room.
func (p *Projector) addRung(ctx context.Context, k kept, again bool) {
	p.mu.Lock()
	out := p.ladder.add(k, again)
	p.mu.Unlock()
	p.letGo(ctx, out)
}

// letGo removes checkpoints for which there is no room.
func (p *Projector) letGo(ctx context.Context, out []kept) {
	for _, r := range out {
		if err := p.store.Remove(ctx, r.Name); err != nil {
			p.log.Warn("an old checkpoint stays", "store", p.store.String(), "name", r.Name, "error", err)
		}
	}
}
