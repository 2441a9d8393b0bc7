package swim

// priority of an update in the gossip queue. Higher goes first; within one, what was sent least goes first.
type priority uint8

// The priorities.
const (
	priorityLow      priority = iota // what a state exchange taught
	priorityMedium                   // joins, other tags
	priorityHigh                     // verdicts and departures
	priorityCritical                 // accusations and their refutations
)

const priorities = int(priorityCritical) + 1

// sendsMax bounds how often an update is sent, whatever λ and the size of the cluster: 16·⌈log2⌉ of four billion is more.
const sendsMax = 255

// queue holds the members whose claims are still to be passed on: one entry a member, so that a newer claim replaces an
// older one whatever its priority. An entry holds no claim; the packet takes the member's current one. Entries sit in
// one list for each (priority, times sent), which makes the choice of the next a walk over list heads.
//
// It is bounded by the number of members. Nothing is dropped before it was sent its number of times to members that are
// live, so a cluster of one keeps what it has to say until somebody hears it.
type queue struct {
	entries []queueEntry // by member ref
	heads   [priorities][sendsMax + 1]int32
	tails   [priorities][sendsMax + 1]int32
	top     [priorities]int // no list above this count is in use
	length  int
}

type queueEntry struct {
	next, prev int32 // member refs; noRef at an end
	sent       uint8
	priority   priority
	queued     bool
}

func (q *queue) init() {
	for p := range q.heads {
		for s := range q.heads[p] {
			q.heads[p][s], q.tails[p][s] = noRef, noRef
		}
	}
}

// put queues the member's claim afresh.
func (q *queue) put(ref int32, priority priority) {
	for int(ref) >= len(q.entries) {
		q.entries = append(q.entries, queueEntry{})
	}
	q.drop(ref)
	q.link(ref, priority, 0)
}

// drop forgets the member's claim, if it is queued.
func (q *queue) drop(ref int32) {
	if int(ref) >= len(q.entries) || !q.entries[ref].queued {
		return
	}
	e := &q.entries[ref]
	if e.prev == noRef {
		q.heads[e.priority][e.sent] = e.next
	} else {
		q.entries[e.prev].next = e.next
	}
	if e.next == noRef {
		q.tails[e.priority][e.sent] = e.prev
	} else {
		q.entries[e.next].prev = e.prev
	}
	e.queued = false
	q.length--
}

// sent counts one sending and drops the entry at limit.
func (q *queue) sent(ref int32, limit int) {
	e := q.entries[ref]
	q.drop(ref)
	if next := int(e.sent) + 1; next < min(limit, sendsMax) {
		q.link(ref, e.priority, uint8(next))
	}
}

func (q *queue) link(ref int32, priority priority, sent uint8) {
	tail := q.tails[priority][sent]
	q.entries[ref] = queueEntry{next: noRef, prev: tail, sent: sent, priority: priority, queued: true}
	if tail == noRef {
		q.heads[priority][sent] = ref
	} else {
		q.entries[tail].next = ref
	}
	q.tails[priority][sent] = ref
	q.top[priority] = max(q.top[priority], int(sent))
	q.length++
}

// choose writes up to len(dst) members to dst, most urgent first, and returns how many.
func (q *queue) choose(dst []int32) int {
	n := 0
	for p := priorities - 1; p >= 0 && n < len(dst); p-- {
		used := 0
		for s := 0; s <= q.top[p] && n < len(dst); s++ {
			if q.heads[p][s] != noRef {
				used = s
			}
			for ref := q.heads[p][s]; ref != noRef && n < len(dst); ref = q.entries[ref].next {
				dst[n] = ref
				n++
			}
		}
		if n < len(dst) {
			q.top[p] = used
		}
	}
	return n
}
