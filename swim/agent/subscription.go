package agent

import (
	"sync"

	"rollcall/swim"
)

// Notice is one change of the view, as a subscriber receives it.
type Notice struct {
	swim.Transition
	Missed uint64 // changes this subscriber lost before this one, because it read too slowly; see Subscription.Missed for the last
}

// Subscription receives the view's changes from the moment it was made. Each has its own bound, and a slow one loses
// changes (and is told how many) without holding anybody else up. Close one that is read no more: nothing else ends it before
// the agent does, whoever has dropped it; it may be C alone that somebody still reads.
type Subscription struct {
	C <-chan Notice // closed by Close, or when the agent is closed

	c      chan Notice
	missed uint64 // since the newest notice in c; under the lock of set
	set    *subscribers
}

// Missed is how many changes this subscriber lost after the newest notice it has got, or that waits in C: what the next one
// will say, and all that says it when none follows. It holds after the end too.
func (s *Subscription) Missed() uint64 {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	return s.missed
}

// Close ends the subscription. It is idempotent.
func (s *Subscription) Close() { s.set.remove(s) }

type subscribers struct {
	mu     sync.Mutex
	all    map[*Subscription]struct{}
	closed bool
}

func newSubscribers() *subscribers { return &subscribers{all: make(map[*Subscription]struct{})} }

func (b *subscribers) add(bound int) *Subscription {
	c := make(chan Notice, max(bound, 1))
	s := &Subscription{C: c, c: c, set: b}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		close(c)
		return s
	}
	b.all[s] = struct{}{}
	return s
}

func (b *subscribers) remove(s *Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.all[s]; ok {
		delete(b.all, s)
		close(s.c)
	}
}

func (b *subscribers) publish(t swim.Transition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.all {
		select {
		case s.c <- Notice{t, s.missed}:
			s.missed = 0
		default:
			s.missed++
		}
	}
}

func (b *subscribers) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for s := range b.all {
		delete(b.all, s)
		close(s.c)
	}
}
