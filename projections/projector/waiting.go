package projector

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
)

// waiting is who waits for which position, so that an event wakes those who wait for it, and not a thousand others who look in
// vain and hold up the fold. Who waits looks first where the views are, and asks for a place while they stand still. The zero
// value is nobody.
type waiting struct {
	mu   sync.Mutex
	list []*awaited // positions rise, each once; gone when it is reached, or nobody waits for it any more
}

// awaited is a position that somebody waits for.
type awaited struct {
	position uint64
	reached  chan struct{} // closed when it is, or never will be
	waiters  int
}

func (w *waiting) find(position uint64) (i int, there bool) {
	return slices.BinarySearchFunc(w.list, position, func(a *awaited, position uint64) int {
		return cmp.Compare(a.position, position)
	})
}

// at returns the place of one more who waits for position, to be given back with leave.
func (w *waiting) at(position uint64) *awaited {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, there := w.find(position)
	if !there {
		w.list = slices.Insert(w.list, i, &awaited{position: position, reached: make(chan struct{})})
	}
	w.list[i].waiters++
	return w.list[i]
}

// leave gives a place back, whether or not its position was reached.
func (w *waiting) leave(a *awaited) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.waiters--; a.waiters > 0 {
		return
	}
	if i, there := w.find(a.position); there && w.list[i] == a {
		w.list = slices.Delete(w.list, i, i+1)
	}
}

// reach tells those who wait for a position up to this one.
func (w *waiting) reach(position uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for n < len(w.list) && w.list[n].position <= position {
		close(w.list[n].reached)
		n++
	}
	w.list = slices.Delete(w.list, 0, n)
}

// end tells everybody.
func (w *waiting) end() { w.reach(math.MaxUint64) }

// WaitFor returns once the event at position is folded. It fails with the cause of ctx, or with ErrStopped.
func (p *Projector) WaitFor(ctx context.Context, position uint64) error {
	for {
		p.mu.RLock()
		if p.views.Position() >= position {
			p.mu.RUnlock()
			p.tell(position)
			return nil
		}
		if err := p.stopped; err != nil {
			p.mu.RUnlock()
			return err
		}
		place := p.waiting.at(position)
		p.mu.RUnlock()
		select {
		case <-place.reached:
			p.waiting.leave(place)
		case <-ctx.Done():
			p.waiting.leave(place)
			return fmt.Errorf("wait for position %d: %w", position, context.Cause(ctx))
		}
	}
}
