package projector

import (
	"context"
	"errors"
	"iter"
	"sync"

	"rollcall/events"
)

// Bounds of what waits to be folded, while as much is being folded: so many events, as a pair of processors hand to each other with
// little waking and no further gain, and no more once they hold so many bytes.
const (
	aheadMax      = 1024
	aheadBytesMax = 1 << 20
)

// delivery is what a subscription yields.
type delivery struct {
	rec events.Recorded
	err error
}

// size is how many bytes the event holds, beside what every event does.
func (d *delivery) size() int {
	if d.rec.Plan != nil {
		return events.BodyMax
	}
	return len(d.rec.Evidence)
}

// behind reports whether it is an event, readable or not, that an instant precedes.
func (d *delivery) behind(at At) bool {
	var bad *events.DecodeError
	switch {
	case d.err == nil:
		return at.before(d.rec.Position, d.rec.Stored)
	case errors.As(d.err, &bad):
		return at.before(bad.Position, bad.Stored)
	}
	return false
}

// ahead is a bounded queue between the goroutine that reads and the one that folds. Who takes gets all there is.
type ahead struct {
	mu    sync.Mutex
	some  sync.Cond // something was put, or it has ended
	room  sync.Cond // everything was taken, or it has ended
	list  []delivery
	size  int // of what is in list
	ended bool
}

// readAhead yields what subscribe yields under a context that ends with ctx or with the loop, as many at a time as there are and at
// most aheadMax. To read and decode a log takes as long as to fold it, so it is done beside, and an event is never held back
// for more to come. A list is the loop's until it takes the next.
func readAhead(ctx context.Context, subscribe func(context.Context) iter.Seq2[events.Recorded, error]) iter.Seq[[]delivery] {
	return func(yield func([]delivery) bool) {
		ctx, cancel := context.WithCancel(ctx)
		a := &ahead{list: make([]delivery, 0, aheadMax)}
		a.some.L, a.room.L = &a.mu, &a.mu
		var reading sync.WaitGroup
		reading.Go(func() {
			defer a.end()
			for rec, err := range subscribe(ctx) {
				if !a.put(delivery{rec, err}) {
					return
				}
			}
		})
		defer reading.Wait()
		defer a.end()
		defer cancel()
		for list := a.take(make([]delivery, 0, aheadMax)); len(list) > 0; list = a.take(list) {
			if !yield(list) {
				return
			}
			clear(list) // for what the events hold
		}
	}
}

// put waits for room. It reports false when nobody takes any more.
func (a *ahead) put(d delivery) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for (len(a.list) == aheadMax || a.size >= aheadBytesMax) && !a.ended {
		a.room.Wait()
	}
	if a.ended {
		return false
	}
	a.size += d.size()
	if a.list = append(a.list, d); len(a.list) == 1 {
		a.some.Signal()
	}
	return true
}

// take returns all there is, and keeps spare to put what comes into. It waits for something, and returns nothing at the end.
func (a *ahead) take(spare []delivery) []delivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.list) == 0 && !a.ended {
		a.some.Wait()
	}
	list := a.list
	a.list, a.size = spare[:0], 0
	a.room.Signal()
	return list
}

func (a *ahead) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	a.some.Signal()
	a.room.Signal()
}
