// Package handover hands what is read of a log from one goroutine to another, as much at a time as there is: to wait for each message or
// event by itself costs more than to decode it, and as much as to fold it.
//
//	q := handover.New(func(m *message) int { return len(m.body) })
//	go func() {
//		for m := range messages {
//			q.Put(m)
//		}
//		q.End(io.EOF)
//	}()
//	for list, err := q.Take(nil); err == nil; list, err = q.Take(list) {
//		…
//	}
package handover

import "sync"

// Bounds of what waits to be taken: so many values, and no more once they have so many bytes. As many again are with who takes. It is as
// many as a pair of processors hand to each other with little waking and no further gain.
const (
	Max      = 1024
	BytesMax = 1 << 20
)

// Queue is between one goroutine that puts and one that takes. Nothing is held back for more to come.
type Queue[T any] struct {
	weigh func(*T) int

	mu   sync.Mutex
	some sync.Cond // something was put, or it has ended
	room sync.Cond // everything was taken, or it has ended
	list []T
	size int   // of what is in list
	err  error // why nothing is put any more; nil: something may be
}

// New returns an empty queue of values that have as many bytes as weigh says, beside what each of them has.
func New[T any](weigh func(*T) int) *Queue[T] {
	q := &Queue[T]{weigh: weigh, list: make([]T, 0, Max)}
	q.some.L, q.room.L = &q.mu, &q.mu
	return q
}

// Put waits for room. After the end it does nothing, and reports false.
func (q *Queue[T]) Put(v T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for (len(q.list) == Max || q.size >= BytesMax) && q.err == nil {
		q.room.Wait()
	}
	if q.err != nil {
		return false
	}
	q.size += q.weigh(&v)
	if q.list = append(q.list, v); len(q.list) == 1 {
		q.some.Signal()
	}
	return true
}

// Take waits for something and returns all there is. It forgets what was taken before, which is the caller's until then, and keeps the
// room for what comes; nil is as good. Once everything was taken it fails with what the queue was ended for.
func (q *Queue[T]) Take(before []T) ([]T, error) {
	clear(before) // for what the values hold
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) == 0 && q.err == nil {
		q.some.Wait()
	}
	if len(q.list) == 0 {
		return nil, q.err
	}
	list := q.list
	q.list, q.size = before[:0], 0
	q.room.Signal()
	return list, nil
}

// End says that nothing will be put any more, and why; the first reason stays.
func (q *Queue[T]) End(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = why
	}
	q.some.Signal()
	q.room.Signal()
}
