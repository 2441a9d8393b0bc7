package jslog

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/nats-io/nats.go/jetstream"
)

// numbered is a message of which only the number is known, and how long its body is.
type numbered struct {
	jetstream.Msg
	n    int
	size int
}

func (m numbered) Data() []byte { return make([]byte, m.size) }

// Everything arrives, in order and once, however little the one side waits for the other.
func TestInflowKeepsOrder(t *testing.T) {
	const all = 10 * inflowMax
	q := newInflow()
	var putting sync.WaitGroup
	putting.Go(func() {
		for n := range all {
			q.put(numbered{n: n})
		}
		q.end(errEnough)
	})
	var list []jetstream.Msg
	next := 0
	for {
		var err error
		if list, err = q.take(list); err != nil {
			if !errors.Is(err, errEnough) || next != all {
				t.Errorf("ended with %v after %d of %d", err, next, all)
			}
			break
		}
		for _, m := range list {
			if m.(numbered).n != next {
				t.Fatalf("message %d where %d was due", m.(numbered).n, next)
			}
			next++
		}
	}
	putting.Wait()
}

// Who puts waits while there is no room, until somebody takes or nobody will any more.
func TestInflowIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newInflow()
		for n := range inflowMax {
			q.put(numbered{n: n})
		}
		put := 0
		go func() {
			for ; put < 2*inflowMax; put++ {
				q.put(numbered{n: inflowMax + put})
			}
		}()
		synctest.Wait()
		if put != 0 {
			t.Fatalf("%d put where there was no room", put)
		}
		list, err := q.take(nil)
		if err != nil || len(list) != inflowMax {
			t.Fatalf("%d taken, %v", len(list), err)
		}
		synctest.Wait()
		if put != inflowMax {
			t.Errorf("%d put where there was room for %d", put, inflowMax)
		}
		q.end(errGap)
		q.end(errEnough) // the first reason stays
		synctest.Wait()
		if put != 2*inflowMax {
			t.Errorf("%d put after the end: somebody still waits", put)
		}
		if list, err = q.take(list); err != nil || len(list) != inflowMax {
			t.Errorf("%d taken of what was there before the end, %v", len(list), err)
		}
		if _, err = q.take(list); !errors.Is(err, errGap) {
			t.Errorf("ended with %v", err)
		}
	})
}

// I15: long messages wait by their bytes. One that is longer than all that may wait gets through by itself.
func TestI15InflowIsBoundedInBytes(t *testing.T) {
	for size, want := range map[int]int{64 << 10: inflowBytesMax / (64 << 10), inflowBytesMax/2 + 1: 2, 2 * inflowBytesMax: 1} {
		synctest.Test(t, func(t *testing.T) {
			q := newInflow()
			go func() {
				for n := range 100 {
					q.put(numbered{n: n, size: size})
				}
				q.end(errEnough)
			}()
			all := 0
			for {
				synctest.Wait()
				list, err := q.take(nil)
				if err != nil {
					break
				}
				if all += len(list); len(list) > want {
					t.Fatalf("%d of %d bytes waited, want %d at most", len(list), size, want)
				}
			}
			if all != 100 {
				t.Errorf("%d of 100 messages of %d bytes", all, size)
			}
		})
	}
}
