package quicnet

import (
	"sync"

	"rollcall/swim"
)

// buffer holds one datagram on its way out.
type buffer struct {
	n    int
	data [swim.DatagramMax]byte
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// queue is the bounded line of datagrams to one peer. A full queue gives up its oldest: a late ping is worth nothing.
type queue struct {
	mu   sync.Mutex
	ring [sendQueueMax]*buffer
	head int
	n    int
	wake chan struct{} // holds a token when there may be something for a sender that waits
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// push copies datagram, which must fit a buffer, and reports whether an older one had to go.
func (q *queue) push(datagram []byte) (dropped bool) {
	b := buffers.Get().(*buffer)
	b.n = copy(b.data[:], datagram)
	q.mu.Lock()
	if q.n == len(q.ring) {
		buffers.Put(q.ring[q.head])
		q.head = (q.head + 1) % len(q.ring)
		q.n--
		dropped = true
	}
	q.ring[(q.head+q.n)%len(q.ring)] = b
	q.n++
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return dropped
}

// pop takes the oldest, or nil. The caller puts it back into buffers.
func (q *queue) pop() *buffer {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == 0 {
		return nil
	}
	b := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	return b
}

// clear drops everything and says how much that was.
func (q *queue) clear() (dropped int) {
	for b := q.pop(); b != nil; b = q.pop() {
		buffers.Put(b)
		dropped++
	}
	return dropped
}
