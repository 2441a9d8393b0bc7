package jslog

import (
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// Bounds of what waits to be taken, beside what nats.go holds: so many messages, and no more once their bodies have so many bytes.
const (
	inflowMax      = 1024
	inflowBytesMax = 1 << 20
)

// inflow is a bounded queue between the goroutine in which nats.go hands over messages and the one that reads. Who takes gets all
// there are: to wait for each message by itself costs more than to decode it.
type inflow struct {
	mu   sync.Mutex
	some sync.Cond // something was put, or it has ended
	room sync.Cond // everything was taken, or it has ended
	list []jetstream.Msg
	size int   // of the bodies in list
	err  error // why nothing is put any more; nil: something may be
}

func newInflow() *inflow {
	q := &inflow{list: make([]jetstream.Msg, 0, inflowMax)}
	q.some.L, q.room.L = &q.mu, &q.mu
	return q
}

// put waits for room. What is put after the end is dropped.
func (q *inflow) put(m jetstream.Msg) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for (len(q.list) == inflowMax || q.size >= inflowBytesMax) && q.err == nil {
		q.room.Wait()
	}
	if q.err != nil {
		return
	}
	q.size += len(m.Data())
	if q.list = append(q.list, m); len(q.list) == 1 {
		q.some.Signal()
	}
}

// take returns all there is, and keeps spare to put what comes into. It waits for something, and fails with what it ended for once
// everything was taken.
func (q *inflow) take(spare []jetstream.Msg) ([]jetstream.Msg, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) == 0 && q.err == nil {
		q.some.Wait()
	}
	if len(q.list) == 0 {
		return nil, q.err
	}
	list := q.list
	q.list, q.size = spare[:0], 0
	q.room.Signal()
	return list, nil
}

// end says that there will be no more, and why; the first reason stays.
func (q *inflow) end(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = why
	}
	q.some.Signal()
	q.room.Signal()
}
