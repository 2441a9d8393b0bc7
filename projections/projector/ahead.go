package projector

import (
	"context"
	"errors"
	"iter"
	"sync"

	"rollcall/events"
	"rollcall/events/handover"
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

// readAhead yields what subscribe yields under a context that ends with ctx or with the loop, as many at a time as there are and at
// most as a handover holds. To read and decode a log takes as long as to fold it, so it is done beside, and an event is never held
// back for more to come. A list is the loop's until it takes the next.
func readAhead(ctx context.Context, subscribe func(context.Context) iter.Seq2[events.Recorded, error]) iter.Seq[[]delivery] {
	return func(yield func([]delivery) bool) {
		ctx, cancel := context.WithCancel(ctx)
		ahead := handover.New((*delivery).size)
		var reading sync.WaitGroup
		reading.Go(func() {
			defer ahead.End(errSubscription)
			for rec, err := range subscribe(ctx) {
				if !ahead.Put(delivery{rec, err}) {
					return
				}
			}
		})
		defer reading.Wait()
		defer ahead.End(errSubscription)
		defer cancel()
		for list, err := ahead.Take(nil); err == nil; list, err = ahead.Take(list) {
			if !yield(list) {
				return
			}
		}
	}
}
