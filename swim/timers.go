package swim

import "time"

// timerKind says what a timer is for; ref in the timer says for whom.
type timerKind uint8

const (
	timerEdge      timerKind = iota // ref member: a regular probe is due
	timerPeriod                     // round robin: the next protocol period
	timerProbe                      // ref probe slot: its current wait is over
	timerRelay                      // ref relay slot
	timerSuspicion                  // ref member
	timerRecheck                    // ref member: does its digest still differ
	timerBelieve                    // ref member: probe before believing is over
	timerGossip
	timerSync
	timerRetry
	timerProof // is the backlog worked off
	timerHealth
	timerPartition
	timerContest // ref member: an accusation that it answered is long ago
	timerReturn  // a return was held back for long enough
	timerAsked   // who was asked what he holds against this member has not answered
	timerGone    // how long a departure waits for its acks
)

// timer is one entry of the heap. An owner keeps the id of its timer; an entry whose id its owner no longer holds is stale
// and ignored when it comes up.
type timer struct {
	at   time.Duration
	id   uint64 // also breaks ties, so that equal times fire in the order armed
	kind timerKind
	ref  int32
}

// timers is a binary heap by (at, id). It does not allocate once it has grown.
type timers struct {
	heap []timer
	last uint64
}

func (t *timers) arm(kind timerKind, ref int32, at time.Duration) uint64 {
	t.last++
	t.heap = append(t.heap, timer{at, t.last, kind, ref})
	t.up(len(t.heap) - 1)
	return t.last
}

// next returns the earliest entry without removing it.
func (t *timers) next() (timer, bool) {
	if len(t.heap) == 0 {
		return timer{}, false
	}
	return t.heap[0], true
}

func (t *timers) pop() {
	last := len(t.heap) - 1
	t.heap[0] = t.heap[last]
	t.heap = t.heap[:last]
	t.down(0)
}

func (t *timers) less(i, j int) bool {
	a, b := &t.heap[i], &t.heap[j]
	if a.at != b.at {
		return a.at < b.at
	}
	return a.id < b.id
}

func (t *timers) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !t.less(i, parent) {
			return
		}
		t.heap[i], t.heap[parent] = t.heap[parent], t.heap[i]
		i = parent
	}
}

func (t *timers) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(t.heap) {
			return
		}
		if child+1 < len(t.heap) && t.less(child+1, child) {
			child++
		}
		if !t.less(child, i) {
			return
		}
		t.heap[i], t.heap[child] = t.heap[child], t.heap[i]
		i = child
	}
}
