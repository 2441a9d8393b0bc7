package swimsim

import (
	"time"

	"rollcall/swim"
)

// event is something that happens: an input for a member, a member's own timer, or a call.
type event struct {
	what eventKind
	to   *Member
	life uint64 // of the member it is meant for; 0: whichever it lives
	in   swim.Input
	call func()
}

type eventKind uint8

const (
	eventInput eventKind = iota
	eventWake            // the node's deadline
	eventCall
)

// agenda is a four-ary heap of keys by (at, order) beside a slab of events: what is moved about stays small.
type agenda struct {
	heap  []key
	slab  []event
	free  []int32
	order uint64
}

type key struct {
	at    time.Duration
	order uint64
	slot  int32
}

func (k key) before(o key) bool { return k.at < o.at || k.at == o.at && k.order < o.order }

func (a *agenda) push(at time.Duration, e event) {
	slot := int32(len(a.slab))
	if last := len(a.free) - 1; last >= 0 {
		slot, a.free = a.free[last], a.free[:last]
		a.slab[slot] = e
	} else {
		a.slab = append(a.slab, e)
	}
	a.order++
	a.heap = append(a.heap, key{at, a.order, slot})
	i := len(a.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !a.heap[i].before(a.heap[parent]) {
			break
		}
		a.heap[i], a.heap[parent] = a.heap[parent], a.heap[i]
		i = parent
	}
}

// next is when the earliest event comes; ok is false when there is none.
func (a *agenda) next() (at time.Duration, ok bool) {
	if len(a.heap) == 0 {
		return 0, false
	}
	return a.heap[0].at, true
}

func (a *agenda) pop() event {
	slot := a.heap[0].slot
	last := len(a.heap) - 1
	a.heap[0] = a.heap[last]
	a.heap = a.heap[:last]
	for i := 0; ; {
		first := 4*i + 1
		if first >= last {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, last); c++ {
			if a.heap[c].before(a.heap[least]) {
				least = c
			}
		}
		if !a.heap[least].before(a.heap[i]) {
			break
		}
		a.heap[i], a.heap[least] = a.heap[least], a.heap[i]
		i = least
	}
	e := a.slab[slot]
	a.slab[slot] = event{}
	a.free = append(a.free, slot)
	return e
}
